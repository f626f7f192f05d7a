//! Arguments in, exit code out.

/// Trees and values are many small pieces: to get and to give them back through the system's allocator would be a quarter of a
/// check, and with a heap for each thread a fifth more.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

unsafe extern "C" {
    fn mi_option_set(option: std::ffi::c_int, value: std::ffi::c_long);
}

/// `mi_option_purge_delay` of mimalloc.h: after how many milliseconds memory that is free goes back to the system; -1 keeps it until
/// the process ends.
const PURGE_DELAY: std::ffi::c_int = 15;

fn main() -> std::process::ExitCode {
    // What one phase frees the next one takes: given back in between, which is the default, it has to be cleared by the system once
    // more. A check of 100,000 lines took 76,000 page faults so, and takes 1,000.
    // SAFETY: the function stores a number, and has that signature in mimalloc.h.
    unsafe { mi_option_set(PURGE_DELAY, -1) };
    stackwright::cli::main()
}
