//! The `wharf` program: parse, run, print the error chain, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    // git starts this program as its hook `pre-receive`.
    if wharf::git::hook::is_hook(std::env::args_os().next().as_deref()) {
        return wharf::git::hook::main();
    }
    wharf::cli::main()
}
