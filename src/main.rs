//! Arguments in, exit code out.

fn main() -> std::process::ExitCode {
    stackwright::cli::main()
}
