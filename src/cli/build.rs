//! `wharf build`: how a directory would be built, offline.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use crate::builds::{Settings, plan_json, print_dockerfile};
use crate::kernel::error::chain;

/// Show how a directory would be built. Needs neither Docker nor a network.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  wharf build --print            the Dockerfile Wharf would use\n  wharf build --plan --json DIR  the plan behind it")]
pub(super) struct Build {
    /// The directory
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Print the Dockerfile; write it to a file to make it your own
    #[arg(long, conflicts_with = "plan")]
    print: bool,
    /// Print the plan: language, versions, commands, processes
    #[arg(long)]
    plan: bool,
}

pub(super) fn run(args: &Build) -> Result<(), Failure> {
    let settings = Settings::default();
    let text = if args.plan {
        plan_json(&args.dir, &settings)
    } else if args.print {
        print_dockerfile(&args.dir, &settings)
    } else {
        return Err(Failure::usage("say what to print: --print (the Dockerfile) or --plan (the plan, as JSON)"));
    };
    print!("{}", text.map_err(|e| Failure::failed(chain(&e)))?);
    Ok(())
}
