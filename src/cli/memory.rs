//! How memory is got from the system.

/// One heap for all threads, which is the one that grows in large steps: the heap of a thread of its own grows by a call to the system
/// for every few pages, which is a fifth of what a check of 10,000 lines costs. For commands in which one thread does nearly all.
/// To be called before other threads are started.
pub fn one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call sets a number of the allocator, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
