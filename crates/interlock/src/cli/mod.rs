//! The command line: noun, then verb.
//!
//! Data goes to standard output, words about it to standard error. Exit codes: 0
//! done, 1 failed, 2 wrong usage, 3 refused by a rule, 4 a proof is broken.

// Indexing a JSON value gives null for what is absent; it cannot panic.
#![allow(clippy::indexing_slicing)]

mod audit;
mod audit_key;
mod backup;
mod certificate;
mod change;
mod context;
mod copy;
mod data;
mod doctor;
mod drill;
mod hold;
mod init;
mod invite;
mod keys;
mod ledger;
mod order;
mod passport;
mod policy;
mod proven;
mod rotate;
mod serve;
mod trace;
mod up;

use clap::{CommandFactory, Parser, Subcommand};
use context::{Context, Failure};
use std::{path::PathBuf, process::ExitCode};

/// Nothing acts without a proof.
#[derive(Parser)]
#[command(name = "interlock", version, about, long_about = None, propagate_version = true)]
struct Cli {
    /// Your folder: keys, certificate, trust anchors.
    #[arg(long, global = true, env = "INTERLOCK_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print JSON for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a new plant: folders, fresh keys, certificates, genesis.
    Init(init::Args),
    /// Start every machine of a plant that lies in one folder.
    Up(up::Args),
    /// Run the site's server.
    Serve(serve::Args),
    /// Sign, list and explain launch orders.
    #[command(subcommand)]
    Order(order::Verb),
    /// List and show runs.
    #[command(subcommand)]
    Run(order::RunVerb),
    /// Issue, list and revoke access to recordings.
    #[command(subcommand)]
    Grant(data::GrantVerb),
    /// List, fetch, check and destroy recordings.
    #[command(subcommand)]
    Recording(data::RecordingVerb),
    /// List and show reports.
    #[command(subcommand)]
    Report(data::ReportVerb),
    /// Show and verify digital passports.
    #[command(subcommand)]
    Passport(passport::Verb),
    /// Roles of members.
    #[command(subcommand)]
    Role(change::RoleVerb),
    /// Propose a person, or another passkey of one, and print a one-time link to
    /// enrol with; two security officers must sign.
    Invite(invite::Args),
    /// Enrol members, replace and revoke keys.
    #[command(subcommand)]
    Member(change::MemberVerb),
    /// Programs that orders may name.
    #[command(subcommand)]
    Program(change::ProgramVerb),
    /// Templates to inspect parts against.
    #[command(subcommand)]
    Template(change::TemplateVerb),
    /// Proposed changes and their approval.
    #[command(subcommand)]
    Change(change::ChangeVerb),
    /// The plant's own keys: of the log, its witnesses, the vault and the authority of
    /// its certificates.
    #[command(subcommand)]
    Keys(keys::Verb),
    /// Members' TLS certificates, issued anew by the plant's authority.
    #[command(subcommand)]
    Certificate(certificate::Verb),
    /// The policy in force, tried out and checked.
    #[command(subcommand)]
    Policy(policy::Verb),
    /// The ledger: check, show, prove.
    #[command(subcommand)]
    Ledger(ledger::Verb),
    /// Replay the ledger, list what a key signed, or verify the export of an order's trace.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Stop taking orders, and release again.
    #[command(subcommand)]
    Hold(hold::Verb),
    /// Attack a live plant and show which rule refuses each attempt.
    Drill(drill::Args),
    /// Back up a site's folder while it runs: ledger, vault and keys as one, sealed to
    /// a key that the site does not have.
    Backup(backup::Args),
    /// Restore a backup into an empty folder, and verify all of it.
    Restore(backup::RestoreArgs),
    /// Look for what is wrong with this installation.
    Doctor(doctor::Args),
    /// The site's OpenAPI document.
    Openapi,
    /// Shell completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = match cli.command {
        Command::Serve(_) => "info",
        _ => "warn",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("INTERLOCK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    transport::install_crypto_provider();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: {e}");
            return ExitCode::FAILURE;
        }
    };
    let json = cli.json;
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let context = Context { dir: cli.dir, json: cli.json };
    match cli.command {
        Command::Init(args) => init::run(&context, args),
        Command::Up(args) => up::run(&context, args).await,
        Command::Serve(args) => serve::run(&context, args).await,
        Command::Order(verb) => order::run(&context, verb).await,
        Command::Run(verb) => order::run_runs(&context, verb).await,
        Command::Grant(verb) => data::run_grant(&context, verb).await,
        Command::Recording(verb) => data::run_recording(&context, verb).await,
        Command::Report(verb) => data::run_report(&context, verb).await,
        Command::Passport(verb) => passport::run(&context, verb).await,
        Command::Role(verb) => change::run_role(&context, verb).await,
        Command::Invite(args) => invite::run(&context, args).await,
        Command::Member(verb) => change::run_member(&context, verb).await,
        Command::Program(verb) => change::run_program(&context, verb).await,
        Command::Template(verb) => change::run_template(&context, verb).await,
        Command::Change(verb) => change::run_change(&context, verb).await,
        Command::Keys(verb) => keys::run(&context, verb).await,
        Command::Certificate(verb) => certificate::run(&context, verb),
        Command::Policy(verb) => policy::run(&context, verb).await,
        Command::Ledger(verb) => ledger::run(&context, verb).await,
        Command::Audit(verb) => audit::run(&context, verb).await,
        Command::Hold(verb) => hold::run(&context, verb).await,
        Command::Drill(args) => drill::run(&context, args).await,
        Command::Backup(args) => backup::run(&context, args).await,
        Command::Restore(args) => backup::restore(&context, args).await,
        Command::Doctor(args) => doctor::run(&context, args).await,
        Command::Openapi => context.print(&crate::site::openapi(), |doc| {
            serde_json::to_string_pretty(doc).unwrap_or_default()
        }),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "interlock",
                &mut std::io::stdout(),
            );
            Ok(())
        }
    }
}
