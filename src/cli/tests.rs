use clap::CommandFactory;

use super::Cli;

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

/// Every command that does something shows an example in its help.
#[test]
fn every_command_has_help_with_an_example() {
    fn check(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        assert!(command.get_about().is_some(), "`{path}` has no description");
        if command.has_subcommands() {
            for sub in command.get_subcommands().filter(|s| s.get_name() != "help") {
                check(sub, &path);
            }
        } else {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example"), "`{path}` has no example");
            assert!(after.contains("wharf "), "the example of `{path}` does not show the command");
        }
    }
    for command in Cli::command().get_subcommands() {
        check(command, "wharf");
    }
}
