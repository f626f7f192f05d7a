//! Questions asked of the log.
