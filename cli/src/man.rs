//! `cli man`: a page of the manual for each command.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::args::{self, Cli, EXAMPLES};
use crate::exit::{Code, Failure};
use crate::probe;

/// Environment variables, with what they are for.
const ENVIRONMENT: [(&str, &str); 4] = [
    (
        "COLUMNS",
        "How wide ladders are drawn that do not go to a terminal.",
    ),
    (
        "LC_ALL, LC_CTYPE, LANG",
        "Whether a ladder on a terminal is drawn with characters of Unicode.",
    ),
    ("NO_COLOR", "If set, help and errors have no colours."),
    ("TMPDIR", "Where demo makes the folder for what it fetches."),
];

/// Commands as they are typed, with what they do, for each page.
const OF_COMMANDS: [(&str, &[(&str, &str)]); 6] = [
    (
        "serve",
        &[
            (
                "cli serve",
                "Serves the folder www on 127.0.0.1:8080 over SCTP.",
            ),
            (
                "cli serve --proto dccp --bind 0.0.0.0 --bind :: ~/films",
                "Serves films over DCCP to everybody, over IPv4 and IPv6.",
            ),
            (
                "cli serve --via udp --log-format off --pcap - | wireshark -k -i -",
                "Shows the packets in Wireshark as they come and go.",
            ),
        ],
    ),
    (
        "get",
        &[
            ("cli get /", "Saves index.html of a server on this machine."),
            (
                "cli get / /cat.png /video.mp4",
                "Fetches three files at once, on streams of one association.",
            ),
            (
                "cli get --proto dccp -C http://[2001:db8::1]:8080/video.mp4",
                "Goes on with video.mp4.part.",
            ),
            (
                "cli get --ladder --pcap page.pcapng /",
                "Shows who sent what, and writes a file for Wireshark.",
            ),
        ],
    ),
    (
        "probe",
        &[
            (
                "cli probe example.org",
                "Tells whether SCTP and DCCP pass to example.org, bare and in UDP.",
            ),
            (
                "cli probe --listen",
                "Is the far end of probes, which tells them how a NAT changed their ports.",
            ),
            (
                "cli probe --quiet --proto sctp --via udp localhost",
                "Looks after a server, as an exec probe of Kubernetes does.",
            ),
        ],
    ),
    (
        "demo",
        &[
            (
                "cli demo",
                "Shows pages, packets and figures of both protocols.",
            ),
            (
                "cli demo --proto dccp --loss 5 ~/films",
                "Fetches files of yours over DCCP where packets are lost.",
            ),
        ],
    ),
    (
        "man",
        &[(
            "cli man ~/.local/share/man/man1",
            "Puts the manual where man(1) finds it.",
        )],
    ),
    (
        "completions",
        &[
            (
                "cli completions bash > ~/.local/share/bash-completion/completions/cli",
                "Makes bash complete from its next start on.",
            ),
            (
                "cli completions fish > ~/.config/fish/completions/cli.fish",
                "The same for fish.",
            ),
        ],
    ),
];

/// Writes the pages.
pub(crate) fn run(args: &args::Man) -> Result<(), Failure> {
    fs::create_dir_all(&args.dir).map_err(|error| Failure::cannot_write(&args.dir, &error))?;
    let mut cli = Cli::command().disable_help_subcommand(true);
    // Subcommands learn their full names.
    cli.build();
    let others: Vec<String> = cli
        .get_subcommands()
        .map(|command| format!("cli-{}", command.get_name()))
        .collect();
    write_page(&args.dir, "cli", &cli, &others)?;
    for command in cli.get_subcommands() {
        let name = format!("cli-{}", command.get_name());
        write_page(&args.dir, &name, command, &["cli".to_owned()])?;
    }
    Ok(())
}

fn write_page(
    folder: &Path,
    name: &str,
    command: &Command,
    others: &[String],
) -> Result<(), Failure> {
    let file = folder.join(format!("{name}.1"));
    let page = page(name, command, others).map_err(|error| Failure::cannot_write(&file, &error))?;
    fs::write(&file, page).map_err(|error| Failure::cannot_write(&file, &error))
}

fn page(name: &str, command: &Command, others: &[String]) -> io::Result<Vec<u8>> {
    let after = command.get_after_help().map(ToString::to_string);
    let man = Man::new(command.clone().display_name(name))
        .title(name.to_uppercase())
        .source(concat!("cli ", env!("CARGO_PKG_VERSION")))
        .manual("HTTP over SCTP and DCCP");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut rest = String::new();
    if command.has_subcommands() {
        section(&mut rest, "COMMANDS");
        for command in command.get_subcommands() {
            let about = command.get_about().map(ToString::to_string);
            let title = format!("cli-{}(1)", command.get_name());
            item(&mut rest, &title, &about.unwrap_or_default());
        }
    } else if let Some(notes) = after {
        section(&mut rest, "NOTES");
        rest.push_str(&escaped(&notes));
        rest.push('\n');
    }
    section(&mut rest, "EXIT STATUS");
    exit_status(&mut rest, command);
    section(&mut rest, "ENVIRONMENT");
    for (name, meaning) in ENVIRONMENT {
        item(&mut rest, name, meaning);
    }
    examples(&mut rest, command);
    section(&mut rest, "SEE ALSO");
    let others = others.iter().map(|other| format!("{other}(1)"));
    let others: Vec<String> = others.chain(["tshark(1)".to_owned()]).collect();
    rest.push_str(&escaped(&others.join(", ")));
    rest.push('\n');
    page.extend_from_slice(rest.as_bytes());
    Ok(page)
}

fn exit_status(page: &mut String, command: &Command) {
    if command.get_name() == "probe" {
        for (code, meaning) in probe::EXIT_CODES {
            item(page, &code.to_string(), meaning);
        }
        return;
    }
    item(page, "0", "everything was done");
    for code in Code::ALL {
        item(page, &(code as u8).to_string(), code.meaning());
    }
}

fn examples(page: &mut String, command: &Command) {
    if command.has_subcommands() {
        section(page, "EXAMPLES");
        page.push_str(".nf\n");
        for line in EXAMPLES.lines().skip(1) {
            page.push_str(&escaped(line));
            page.push('\n');
        }
        page.push_str(".fi\n");
        return;
    }
    let of_command = |(name, _): &&(&str, _)| *name == command.get_name();
    if let Some((_, examples)) = OF_COMMANDS.iter().find(of_command) {
        section(page, "EXAMPLES");
        for (typed, meaning) in *examples {
            item(page, typed, meaning);
        }
    }
}

fn section(page: &mut String, name: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, ".SH {name}");
}

/// A paragraph that hangs below its bold title.
fn item(page: &mut String, title: &str, text: &str) {
    let _ = writeln!(page, ".TP\n\\fB{}\\fR\n{}", escaped(title), escaped(text));
}

/// Text that roff shows as it is: no escapes, no requests, and minus signs that can be copied.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = text.split('\n').map(|line| {
        if line.starts_with(['.', '\'']) {
            format!("\\&{line}")
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_roff() {
        assert_eq!(
            escaped(".TH \\x\n'y -z\n- w"),
            "\\&.TH \\ex\n\\&'y \\-z\n\\- w"
        );
    }
}
