//! The commands: from the words of the command line to the one that runs.

mod completion;
mod decrypt;
mod edit;
mod encrypt;
mod exec_env;
mod exec_file;
mod explain;
mod filestatus;
mod generate;
mod groups;
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
use std::path::{Path, PathBuf};

use clap::{Args as _, CommandFactory as _, FromArgMatches as _};

use crate::args::{self, Cli, Command, Globals, Legacy, LegacyForm, Surroundings};
use crate::argv::{self, Grammar, Read, UsageError};
use crate::context::{self, Context, Name};
use crate::error::{CommandError, Kind};
use crate::{scratch, ui};

/// Runs what the words ask for, and returns the exit code.
pub(crate) fn run(name: Name, words: Vec<OsString>) -> Result<u8, CommandError> {
    let program = words.first().map(PathBuf::from);
    let words: Vec<OsString> = words.into_iter().skip(1).collect();
    match (name, words.first().and_then(|word| word.to_str())) {
        (Name::Helm, _) => return helm::run(words, &context::environment()),
        (Name::Orlop, Some("helm")) => return helm::run(words[1..].to_vec(), &context::environment()),
        (_, _) if words.last().is_some_and(|word| word == completion::FLAG) => {
            completion::print_candidates(name, words[..words.len() - 1].to_vec(), &context::environment());
            return Ok(0);
        }
        (_, Some(scratch::WIPER)) => return scratch::wipe_when_told(&words[1..]),
        _ => {}
    }
    let env = context::environment();
    match read(name, words, &env)? {
        Request::Helm(words) => helm::run(words, &env),
        Request::Help(text) => {
            ui::print_line(text.trim_end());
            Ok(0)
        }
        Request::Version { looks_for_updates } => {
            ui::print_line(version(name));
            if looks_for_updates {
                ui::note(
                    "orlop: note: nothing was asked of the network: orlop does not look for newer versions of itself",
                );
            }
            Ok(0)
        }
        Request::Run(globals, form) => {
            run_parsed(&Context::new(name, env, globals), program.as_deref(), form)
        }
    }
}

fn run_parsed(context: &Context, program: Option<&Path>, form: Form) -> Result<u8, CommandError> {
    let holds_plaintext = match &form {
        Form::Command(command) => !matches!(**command, Command::Filestatus(_) | Command::Completion(_)),
        Form::Older(_) => true,
    };
    if holds_plaintext {
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
            Command::Filestatus(args) => filestatus::run(context, &args),
            Command::Groups(args) => groups::run(context, args.command),
            Command::ExecEnv(args) => return exec_env::run(context, args),
            Command::ExecFile(args) => return exec_file::run(context, args),
            Command::Completion(args) => {
                let program = program.and_then(Path::file_stem).and_then(|program| program.to_str());
                completion::run(program.unwrap_or(context.name.as_str()), &args)
            }
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

fn version(name: Name) -> String {
    let format = orlop::metadata::FORMAT_VERSION;
    match name {
        Name::Sops => format!("sops {format}"),
        _ => format!("orlop {} (sops {format})", env!("CARGO_PKG_VERSION")),
    }
}

/// What a command line asks for.
enum Request {
    Run(Globals, Form),
    Version { looks_for_updates: bool },
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
    #[cfg(not(feature = "publish"))]
    "publish",
    #[cfg(not(feature = "keyservice"))]
    "keyservice",
];

/// Commands that sops has not: behind its name they are files.
const NOT_IN_SOPS: [&str; 4] = ["explain", "generate", "helm", "version"];

/// Whether `word` is a command, or a command of a command, for a program of this name.
pub(crate) fn is_known(name: Name, word: &str) -> bool {
    !(name == Name::Sops && NOT_IN_SOPS.contains(&word))
}

fn read(name: Name, words: Vec<OsString>, env: &orlop::Env) -> Result<Request, CommandError> {
    let is_command = |word: &str| {
        is_known(name, word)
            && (Command::NAMES.contains(&word)
                || NOT_YET.contains(&word)
                || matches!(word, "help" | "h" | "version"))
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
                Request::Version { looks_for_updates: form.check_for_updates }
            } else {
                Request::Run(globals, Form::Older(Box::new(form)))
            })
        }
        Some(word) if word == "help" || word == "h" => help(&general.words[1..]),
        Some(word) if word == "version" => Ok(Request::Help(version(name))),
        Some(word) if NOT_YET.contains(&word.as_str()) => {
            Err(CommandError::not_yet(format_args!("the command {word}")))
        }
        Some(word) if word == "helm" => Ok(Request::Helm(general.words[1..].to_vec())),
        Some(word) => {
            for flag in general.given.iter().filter(|flag| !COUNT_FOR_COMMANDS.contains(&flag.as_str())) {
                ui::warn(format_args!("--{flag} before the command has no effect; put it behind {word}"));
            }
            let options = Command::options_of(&word).expect("it is one of them");
            let mut words = general.words[1..].to_vec();
            let mut below = &options;
            let mut path = vec![OsString::from(&word)];
            if options.has_subcommands() {
                match nested(&options, &word, words, env)? {
                    Ok((found, rest)) => {
                        path.push(found.get_name().into());
                        (below, words) = (found, rest);
                    }
                    Err(help) => return Ok(help),
                }
            }
            let variable_of = if path.len() == 1 { args::variable_of } else { args::variable_for_groups };
            let grammar = Grammar::of(below, variable_of);
            let own = argv::read_anywhere(&grammar, words, env, name == Name::Sops).map_err(usage)?;
            if own.wants_help {
                return help(&path);
            }
            let globals = match (general.flags.is_empty(), is_plain) {
                (true, _) => Globals::default(),
                (false, true) => {
                    let mut matches = matches(general_options, general.flags)?;
                    Globals::from_arg_matches_mut(&mut matches).map_err(misread)?
                }
                (false, false) => {
                    let mut matches = matches(general_options, general.flags)?;
                    Legacy::from_arg_matches_mut(&mut matches).map_err(misread)?.globals
                }
            };
            let words = path.into_iter().skip(1).chain(in_clap_order(own));
            let mut matches = matches(options, words)?;
            let command = Command::of_matches(&word, &mut matches).map_err(misread)?;
            Ok(Request::Run(globals, Form::Command(Box::new(command))))
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

/// The command below `command` that `words` begin with, and the words behind it; or else help.
///
/// sops: between the two there are no flags but `--help`.
fn nested<'c>(
    command: &'c clap::Command,
    name: &str,
    words: Vec<OsString>,
    env: &orlop::Env,
) -> Result<Result<(&'c clap::Command, Vec<OsString>), Request>, CommandError> {
    let own = argv::read_strictly(&Grammar { flags: Vec::new() }, words, env).map_err(usage)?;
    let mut words = own.words.into_iter();
    let first = words.next().filter(|_| !own.wants_help);
    let Some(first) = first else { return help(&[name.into()]).map(Err) };
    if first == "help" || first == "h" {
        let path: Vec<OsString> = [name.into()].into_iter().chain(words).collect();
        return help(&path).map(Err);
    }
    match first.to_str().and_then(|first| command.find_subcommand(first)) {
        Some(found) => Ok(Ok((found, words.collect()))),
        None => Err(no_help_topic(&first)),
    }
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

/// The help for a command, or for a command below it.
fn help(path: &[OsString]) -> Result<Request, CommandError> {
    let mut root = Cli::command();
    let mut command = &mut root;
    for word in path {
        if !command.has_subcommands() {
            break;
        }
        let found = word.to_str().and_then(|word| command.find_subcommand_mut(word));
        command = found.ok_or_else(|| no_help_topic(word))?;
    }
    Ok(Request::Help(command.render_help().to_string()))
}

fn no_help_topic(word: &OsString) -> CommandError {
    let message = format!("no help for {:?}: there is no such command", word.display().to_string());
    CommandError::new(Kind::NoHelpTopic, message)
}
