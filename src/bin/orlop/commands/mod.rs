//! The commands: from the words of the command line to the one that runs.

mod decrypt;
mod edit;
mod encrypt;
mod explain;
mod filestatus;
mod generate;
mod helm;
#[cfg(feature = "keyservice")]
mod keyservice;
mod legacy;
#[cfg(feature = "publish")]
mod publish;
mod rotate;
mod set;
mod source;
mod unset;
mod updatekeys;

use std::ffi::OsString;

use clap::{Args as _, CommandFactory as _, FromArgMatches as _};

use crate::args::{self, Cli, Command, Globals, Legacy, LegacyForm, Surroundings};
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
        Request::Version => {
            ui::print_line(match name {
                Name::Sops => format!("sops {}", orlop::metadata::FORMAT_VERSION),
                _ => {
                    format!("orlop {} (sops {})", env!("CARGO_PKG_VERSION"), orlop::metadata::FORMAT_VERSION)
                }
            });
            Ok(0)
        }
        Request::Run(globals, form) => run_parsed(&Context::new(env, globals), form),
    }
}

fn run_parsed(context: &Context, form: Form) -> Result<u8, CommandError> {
    if !matches!(&form, Form::Command(command) if matches!(**command, Command::Filestatus(_))) {
        context::forbid_core_dumps()?;
    }
    match form {
        Form::Older(form) => legacy::run(context, *form),
        Form::Command(command) => match *command {
            Command::Decrypt(args) => decrypt::run(context, args),
            Command::Encrypt(args) => encrypt::run(context, args),
            Command::Edit(args) => edit::run(context, args),
            Command::Set(args) => set::run(context, args),
            Command::Unset(args) => unset::run(context, args),
            Command::Rotate(args) => rotate::run(context, args),
            Command::Updatekeys(args) => updatekeys::run(context, args),
            Command::Filestatus(args) => filestatus::run(&args),
            Command::Explain(args) => explain::run(context, &args),
            #[cfg(feature = "publish")]
            Command::Publish(args) => publish::run(context, args),
            #[cfg(feature = "keyservice")]
            Command::Keyservice(args) => keyservice::run(context, args),
            Command::Generate(args) => generate::run(&args),
            Command::Helm(args::HelmWords {}) => unreachable!("helm's words are not parsed"),
        },
    }?;
    Ok(0)
}

/// What a command line asks for.
enum Request {
    Run(Globals, Form),
    Version,
    Help(String),
    Helm(Vec<OsString>),
}

/// The two forms of a command line.
enum Form {
    Command(Box<Command>),
    Older(Box<LegacyForm>),
}

/// Commands of sops that this version has not.
const NOT_YET: &[&str] = &[
    "completion",
    "exec-env",
    "exec-file",
    #[cfg(not(feature = "publish"))]
    "publish",
    #[cfg(not(feature = "keyservice"))]
    "keyservice",
    "groups",
];

/// Commands that sops has not: behind its name they are files.
const NOT_IN_SOPS: [&str; 3] = ["explain", "generate", "helm"];

fn read(name: Name, words: Vec<OsString>, env: &orlop::Env) -> Result<Request, CommandError> {
    let is_command = |word: &str| {
        (Command::NAMES.contains(&word) && !(name == Name::Sops && NOT_IN_SOPS.contains(&word)))
            || NOT_YET.contains(&word)
            || matches!(word, "help" | "h")
    };
    let is_plain = words.first().and_then(|word| word.to_str()).is_some_and(is_command);
    let general_options = clap::Command::new("orlop");
    let general_options = match is_plain {
        true => Surroundings::augment_args(general_options),
        false => Legacy::augment_args(general_options),
    };
    let grammar = Grammar::of(&general_options, args::variable_of);
    let general = argv::read_strictly(&grammar, words, env).map_err(usage)?;
    if general.wants_help {
        return Ok(Request::Help(Cli::command().render_help().to_string()));
    }
    let first = general.words.first().and_then(|word| word.to_str()).map(str::to_owned);
    match first.filter(|word| is_command(word)) {
        None => {
            // sops: no word at all is an error.
            if name != Name::Sops && general.words.is_empty() && general.given.is_empty() {
                return Ok(Request::Help(Cli::command().render_help().to_string()));
            }
            let mut matches = matches(general_options, in_clap_order(general))?;
            let Legacy { globals, form } = Legacy::from_arg_matches_mut(&mut matches).map_err(misread)?;
            Ok(if form.version {
                Request::Version
            } else {
                Request::Run(globals, Form::Older(Box::new(form)))
            })
        }
        Some(word) if word == "help" || word == "h" => help(general.words.get(1)),
        Some(word) if NOT_YET.contains(&word.as_str()) => {
            Err(CommandError::not_yet(format_args!("the command {word}")))
        }
        Some(word) if word == "helm" => Ok(Request::Helm(general.words[1..].to_vec())),
        Some(word) => {
            for flag in general.given.iter().filter(|flag| !COUNT_FOR_COMMANDS.contains(&flag.as_str())) {
                ui::warn(format_args!("--{flag} before the command has no effect; put it behind {word}"));
            }
            let options = Command::options_of(&word).expect("it is one of them");
            let grammar = Grammar::of(&options, args::variable_of);
            let words = general.words[1..].to_vec();
            let own = argv::read_anywhere(&grammar, words, env, name == Name::Sops).map_err(usage)?;
            if own.wants_help {
                return help(Some(&word.into()));
            }
            let (globals, wants_version) = match (general.flags.is_empty(), is_plain) {
                (true, _) => (Globals::default(), false),
                (false, true) => {
                    let mut matches = matches(general_options, general.flags)?;
                    (Globals::from_arg_matches_mut(&mut matches).map_err(misread)?, false)
                }
                (false, false) => {
                    let mut matches = matches(general_options, general.flags)?;
                    let Legacy { globals, form } =
                        Legacy::from_arg_matches_mut(&mut matches).map_err(misread)?;
                    (globals, form.version)
                }
            };
            let mut matches = matches(options, in_clap_order(own))?;
            let command = Command::of_matches(&word, &mut matches).map_err(misread)?;
            Ok(match wants_version {
                true => Request::Version,
                false => Request::Run(globals, Form::Command(Box::new(command))),
            })
        }
    }
}

/// What `options` make of words in clap's spelling.
fn matches(
    options: clap::Command,
    words: impl IntoIterator<Item = OsString>,
) -> Result<clap::ArgMatches, CommandError> {
    // Help has been dealt with, and clap's own would be built for nothing.
    let options = options.no_binary_name(true).disable_help_flag(true);
    options.try_get_matches_from(words).map_err(misread)
}

fn misread(error: clap::Error) -> CommandError {
    CommandError::usage(error.to_string().trim_start_matches("error: ").trim_end())
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
