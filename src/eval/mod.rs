//! Values, built-ins, and expressions: evaluation with values that are not yet known.
//!
//! Takes a checked expression and the names in it, gives a value. Where something is unknown, what is left of the computation is
//! the value, and [`resume`] carries on when more is known. Knows no program, no environment, no state: names come from a
//! [`Names`].

pub mod builtins;
pub mod encode;
pub mod promql;
