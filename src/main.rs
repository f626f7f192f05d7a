//! Arguments in, exit code out.

/// Trees and values are many small pieces: to get and to give them back through the system's allocator would be a quarter of a
/// check, and with a heap for each thread a fifth more.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    stackwright::cli::main()
}
