//! Arguments in, exit code out. Everything else is the library's.

/// glibc gives big blocks back to the kernel after each step and pays for them again in page faults; this allocator keeps them.
#[cfg(feature = "llama")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // Before any thread exists.
    #[cfg(feature = "llama")]
    selfreward::model::device::pin_default();
    selfreward::cli::main()
}
