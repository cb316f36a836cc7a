//! `strongroom`: the one binary. `strongroom --help` says what it can be told to do.

fn main() -> std::process::ExitCode {
    server::main()
}
