//! Shared stores against real servers, which each test starts for itself. Where a server is not installed the test says so, and is
//! over; `STACKWRIGHT_STORES=require` makes that a failure, `skip` leaves all out.

#![allow(clippy::disallowed_methods, reason = "real servers are watched by the real clock")]

mod apply;
mod carry;
mod postgres;
mod relay;
mod s3;
mod servers;
mod tls;
