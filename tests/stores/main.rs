//! Shared stores against real servers, which each test starts for itself. Where a server is not installed the test says so, and is
//! over; `STACKWRIGHT_STORES=require` makes that a failure.

mod postgres;
mod servers;
