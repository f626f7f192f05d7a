//! Who is called what: the names of a program, collected before anything is typed.
//!
//! Takes syntax trees, gives [`Tables`]: directories, scopes, and one entry for each thing that has a name. Duplicates, and items
//! that stand where they cannot, are reported here. What a name means where it is used is asked by `check`.

mod collect;
mod free;
mod imports;
mod nearest;
mod tables;

pub use collect::collect;
pub use free::free_names;
pub use nearest::{Near, near, nearest, snake_case, start_over};
pub use tables::*;
