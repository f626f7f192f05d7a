//! The real program, killed and interrupted while it works, against simulated clouds that outlive it and against real servers of
//! this machine. However it ends, applying again ends where an apply that nobody disturbed ends, and nothing is made twice.
//!
//! | variable | says | if not set |
//! | --- | --- | --- |
//! | `KILL_ROUNDS` | how many `kill -9` the sweep over the simulated clouds makes | 16 |
//! | `KILL_SEED` | the seed of its first program: a failing one prints the command that runs it alone | 1 |
//! | `KILL_LOCAL` | how many are made while real servers are started and stopped | 2 |
//! | `KILL_STOPS` | how often a process is stopped, replaced, and let on | 2 |

#![allow(clippy::disallowed_methods, reason = "real programs are watched by the real clock")]

mod first;
mod foreseen;
mod local;
mod scene;
mod signals;
mod stopped;
mod sweep;
mod together;
