//! What keeps the laws of an apply, as a list, so that a test can take each away and see that somebody misses it: a check that
//! cannot fail says nothing. Only on the thread of that test, and only in a program that is not optimised; in an optimised one all
//! of this is nothing.
//!
//! The lives of `tests/world` take away these. Every sync of a log on disk has a list of its own, in `state/store/embedded/disk.rs`.

use std::cell::Cell;

/// Something that an apply does for the sake of a law.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guard {
    /// An intent is durable before its call leaves.
    IntentFirst,
    /// A run that finds another in its place writes no more.
    Fence,
    /// A run makes sure of its lease before each call. Either this or [`Guard::WriterMayLive`] would do.
    LeaseLasts,
    /// Before a call is sent again that may be under way, that is written down.
    AttemptFirst,
    /// Recovery looks before it says that a call has had no effect.
    Find,
    /// Recovery waits for as long as a writer that may live can still send its call.
    WriterMayLive,
    /// What became of a call is said only once none of its attempts can arrive any more.
    Outlast,
}

thread_local! {
    static TAKEN: Cell<&'static [Guard]> = const { Cell::new(&[]) };
}

/// Whether a guard stands: always, but where a test has taken it away.
pub fn stands(guard: Guard) -> bool {
    !cfg!(debug_assertions) || !TAKEN.get().contains(&guard)
}

/// Runs something on this thread without some guards.
pub fn without<T>(guards: &'static [Guard], run: impl FnOnce() -> T) -> T {
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            TAKEN.set(&[]);
        }
    }
    TAKEN.set(guards);
    let _back = Back;
    run()
}
