//! The commands: from the words of the command line to the one that runs.

mod decrypt;
mod edit;
mod encrypt;
mod explain;
mod filestatus;
mod generate;
mod helm;
mod legacy;
mod rotate;
mod set;
mod source;
mod unset;
mod updatekeys;

use std::ffi::OsString;

use clap::{Args as _, CommandFactory as _, FromArgMatches as _};

use crate::args::{self, Cli, Command};
use crate::argv::{self, Grammar, Read, UsageError};
use crate::context::{self, Context, Name};
use crate::error::CommandError;
use crate::{editor, ui};

/// Runs what the words ask for, and returns the exit code.
pub(crate) fn run(name: Name, words: Vec<OsString>) -> Result<u8, CommandError> {
    let words: Vec<OsString> = words.into_iter().skip(1).collect();
    match (name, words.first().and_then(|word| word.to_str())) {
        (Name::Helm, _) => return helm::run(words, &context::environment()),
        (Name::Orlop, Some("helm")) => return helm::run(words[1..].to_vec(), &context::environment()),
        (_, Some(editor::WIPER)) => return editor::wipe_when_told(&words[1..]),
        _ => {}
    }
    let env = context::environment();
    match read(name, words, &env)? {
        Request::Helm(words) => helm::run(words, &env),
        Request::Help(text) => {
            ui::print_line(text.trim_end());
            Ok(0)
        }
        Request::Run(cli) => run_parsed(name, *cli, env),
    }
}

fn run_parsed(name: Name, cli: Cli, env: orlop::Env) -> Result<u8, CommandError> {
    let args::Legacy { globals, form } = cli.legacy;
    if form.version {
        ui::print_line(match name {
            Name::Sops => format!("sops {}", orlop::metadata::FORMAT_VERSION),
            _ => format!("orlop {} (sops {})", env!("CARGO_PKG_VERSION"), orlop::metadata::FORMAT_VERSION),
        });
        return Ok(0);
    }
    let context = Context::new(env, globals);
    if !matches!(cli.command, Some(Command::Filestatus(_))) {
        context::forbid_core_dumps()?;
    }
    match cli.command {
        None => legacy::run(&context, form),
        Some(Command::Decrypt(args)) => decrypt::run(&context, args),
        Some(Command::Encrypt(args)) => encrypt::run(&context, args),
        Some(Command::Edit(args)) => edit::run(&context, args),
        Some(Command::Set(args)) => set::run(&context, args),
        Some(Command::Unset(args)) => unset::run(&context, args),
        Some(Command::Rotate(args)) => rotate::run(&context, args),
        Some(Command::Updatekeys(args)) => updatekeys::run(&context, args),
        Some(Command::Filestatus(args)) => filestatus::run(&args),
        Some(Command::Explain(args)) => explain::run(&context, &args),
        Some(Command::Generate(args)) => generate::run(&args),
        Some(Command::Helm(args::HelmWords {})) => unreachable!("helm's words are not parsed"),
    }?;
    Ok(0)
}

/// What a command line asks for.
enum Request {
    Run(Box<Cli>),
    Help(String),
    Helm(Vec<OsString>),
}

/// Commands of sops that this version has not.
const NOT_YET: [&str; 6] = ["completion", "exec-env", "exec-file", "publish", "keyservice", "groups"];

/// Commands that sops has not: behind its name they are files.
const NOT_IN_SOPS: [&str; 3] = ["explain", "generate", "helm"];

fn read(name: Name, words: Vec<OsString>, env: &orlop::Env) -> Result<Request, CommandError> {
    let general_options = args::Legacy::augment_args(clap::Command::new("orlop"));
    let grammar = Grammar::of(&general_options, args::variable_of);
    let general = argv::read_strictly(&grammar, words, env).map_err(usage)?;
    if general.wants_help {
        return Ok(Request::Help(Cli::command().render_help().to_string()));
    }
    let first = general.words.first().and_then(|word| word.to_str()).map(str::to_owned);
    let is_command = |word: &str| {
        (Command::NAMES.contains(&word) && !(name == Name::Sops && NOT_IN_SOPS.contains(&word)))
            || NOT_YET.contains(&word)
            || matches!(word, "help" | "h")
    };
    let mut clap_words = vec![OsString::from("orlop")];
    let mut options = general_options.clone();
    match first.filter(|word| is_command(word)) {
        None => {
            // sops: no word at all is an error.
            if name != Name::Sops && general.words.is_empty() && general.given.is_empty() {
                return Ok(Request::Help(Cli::command().render_help().to_string()));
            }
            clap_words.extend(in_clap_order(general));
        }
        Some(word) if word == "help" || word == "h" => return help(general.words.get(1)),
        Some(word) if NOT_YET.contains(&word.as_str()) => {
            return Err(CommandError::not_yet(format_args!("the command {word}")));
        }
        Some(word) if word == "helm" => return Ok(Request::Helm(general.words[1..].to_vec())),
        Some(word) => {
            for flag in general.given.iter().filter(|flag| !COUNT_FOR_COMMANDS.contains(&flag.as_str())) {
                ui::warn(format_args!("--{flag} before the command has no effect; put it behind {word}"));
            }
            let command = Command::options_of(&word).expect("it is one of them");
            let grammar = Grammar::of(&command, args::variable_of);
            let words = general.words[1..].to_vec();
            let own = argv::read_anywhere(&grammar, words, env, name == Name::Sops).map_err(usage)?;
            if own.wants_help {
                return help(Some(&word.into()));
            }
            clap_words.extend(general.flags);
            clap_words.push(word.into());
            clap_words.extend(in_clap_order(own));
            options = options.subcommand(command);
        }
    }
    let mut matches = options
        .try_get_matches_from(clap_words)
        .map_err(|error| CommandError::usage(error.to_string().trim_start_matches("error: ").trim_end()))?;
    let cli =
        Cli::from_arg_matches_mut(&mut matches).map_err(|error| CommandError::usage(error.to_string()))?;
    Ok(Request::Run(Box::new(cli)))
}

/// The flags of the older form that commands listen to as well.
const COUNT_FOR_COMMANDS: [&str; 4] = ["config", "indent", "mac-only-encrypted", "disable-version-check"];

fn in_clap_order(read: Read) -> impl Iterator<Item = OsString> {
    read.flags.into_iter().chain([OsString::from("--")]).chain(read.words)
}

fn usage(error: UsageError) -> CommandError {
    CommandError::usage(format!("Incorrect Usage: {error}")).hint(
        "`orlop help COMMAND` lists the options of a command; they are not bundled (`-d -i`, not `-di`)",
    )
}

fn help(command: Option<&OsString>) -> Result<Request, CommandError> {
    let mut root = Cli::command();
    let Some(command) = command.and_then(|word| word.to_str()) else {
        return Ok(Request::Help(root.render_help().to_string()));
    };
    let Some(found) = root.find_subcommand_mut(command) else {
        return Err(CommandError::usage(format!("no help for {command:?}: there is no such command")));
    };
    Ok(Request::Help(found.render_help().to_string()))
}
