//! An apply against a platform in memory.
