//! Interlock: the command line and the site's server.

mod backup;
mod cli;
mod site;

fn main() -> std::process::ExitCode {
    cli::main()
}
