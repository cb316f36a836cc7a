//! `strongroom`: the one binary. `strongroom --help` says what it can be told to do.

/// Uploads allocate and free some pieces for each event, on whichever thread runs them: the system's
/// allocator takes twice the time for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    server::main()
}
