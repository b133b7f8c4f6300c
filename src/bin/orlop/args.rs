//! The options of every command: each group of them said once.
//!
//! Command lines reach clap in one spelling only, see [`crate::argv`].

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand};
use orlop::provider::PROVIDERS;

/// Keeps secrets in git and hands them to Helm without ever putting them on a disk.
#[derive(Parser)]
#[command(name = "orlop", disable_version_flag = true, disable_help_subcommand = true)]
#[command(
    override_usage = "orlop COMMAND [OPTIONS] [FILE]\n       orlop helm HELM-WORDS...\n       orlop [-d|-e|-r|--set STR] [OPTIONS] FILE   (sops' older form; none of these: edit)"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) legacy: Legacy,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Decrypt a file, and print the result.
    Decrypt(Decrypt),
    /// Encrypt a file, and print the result.
    Encrypt(Encrypt),
    /// Edit an encrypted file, or make a new one.
    Edit(Edit),
    /// Set one value of an encrypted file.
    Set(Set),
    /// Remove one value of an encrypted file.
    Unset(Unset),
    /// Encrypt a file anew with a new data key.
    Rotate(Rotate),
    /// Bring the keys of encrypted files in line with the config file.
    Updatekeys(Updatekeys),
    /// Tell whether a file is encrypted.
    Filestatus(Filestatus),
    /// Add and delete key groups of an encrypted file.
    Groups(Groups),
    /// Run a command with the values of a file in its environment.
    ExecEnv(ExecEnv),
    /// Run a command with the plain text of a file in a file that no disk sees.
    ExecFile(ExecFile),
    /// Print a script that completes command lines.
    Completion(Completion),
    /// Tell which rule holds for a file, who can open it, and which values are encrypted.
    Explain(Explain),
    /// Publish encrypted files to S3, Google Cloud Storage or Vault, as the config file says.
    #[cfg(feature = "publish")]
    Publish(Publish),
    /// Wrap and unwrap data keys for others, as a server.
    #[cfg(feature = "keyservice")]
    Keyservice(Keyservice),
    /// Make a new key.
    Generate(Generate),
    /// Run helm, which reads encrypted values files from memory.
    Helm(HelmWords),
}

impl Command {
    /// Names of the commands.
    pub(crate) const NAMES: &[&str] = &[
        "decrypt",
        "encrypt",
        "edit",
        "set",
        "unset",
        "rotate",
        "updatekeys",
        "filestatus",
        "groups",
        "exec-env",
        "exec-file",
        "completion",
        "explain",
        #[cfg(feature = "publish")]
        "publish",
        #[cfg(feature = "keyservice")]
        "keyservice",
        "generate",
        "helm",
    ];

    /// The options of one command. Building those of all of them takes longer than many a run.
    pub(crate) fn options_of(name: &str) -> Option<clap::Command> {
        let name = *Self::NAMES.iter().find(|known| **known == name)?;
        let command = clap::Command::new(name);
        Some(match name {
            "decrypt" => Decrypt::augment_args(command),
            "encrypt" => Encrypt::augment_args(command),
            "edit" => Edit::augment_args(command),
            "set" => Set::augment_args(command),
            "unset" => Unset::augment_args(command),
            "rotate" => Rotate::augment_args(command),
            "updatekeys" => Updatekeys::augment_args(command),
            "filestatus" => Filestatus::augment_args(command),
            "groups" => Groups::augment_args(command),
            "exec-env" => ExecEnv::augment_args(command),
            "exec-file" => ExecFile::augment_args(command),
            "completion" => Completion::augment_args(command),
            "explain" => Explain::augment_args(command),
            #[cfg(feature = "publish")]
            "publish" => Publish::augment_args(command),
            #[cfg(feature = "keyservice")]
            "keyservice" => Keyservice::augment_args(command),
            "generate" => Generate::augment_args(command),
            _ => HelmWords::augment_args(command),
        })
    }

    /// The command that was called `name`, from what its options alone made of its words.
    pub(crate) fn of_matches(name: &str, matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        Ok(match name {
            "decrypt" => Command::Decrypt(Decrypt::from_arg_matches_mut(matches)?),
            "encrypt" => Command::Encrypt(Encrypt::from_arg_matches_mut(matches)?),
            "edit" => Command::Edit(Edit::from_arg_matches_mut(matches)?),
            "set" => Command::Set(Set::from_arg_matches_mut(matches)?),
            "unset" => Command::Unset(Unset::from_arg_matches_mut(matches)?),
            "rotate" => Command::Rotate(Rotate::from_arg_matches_mut(matches)?),
            "updatekeys" => Command::Updatekeys(Updatekeys::from_arg_matches_mut(matches)?),
            "filestatus" => Command::Filestatus(Filestatus::from_arg_matches_mut(matches)?),
            "groups" => Command::Groups(Groups::from_arg_matches_mut(matches)?),
            "exec-env" => Command::ExecEnv(ExecEnv::from_arg_matches_mut(matches)?),
            "exec-file" => Command::ExecFile(ExecFile::from_arg_matches_mut(matches)?),
            "completion" => Command::Completion(Completion::from_arg_matches_mut(matches)?),
            "explain" => Command::Explain(Explain::from_arg_matches_mut(matches)?),
            #[cfg(feature = "publish")]
            "publish" => Command::Publish(Publish::from_arg_matches_mut(matches)?),
            #[cfg(feature = "keyservice")]
            "keyservice" => Command::Keyservice(Keyservice::from_arg_matches_mut(matches)?),
            "generate" => Command::Generate(Generate::from_arg_matches_mut(matches)?),
            _ => Command::Helm(HelmWords::from_arg_matches_mut(matches)?),
        })
    }
}

/// Options that count for every command; they stand before it.
#[derive(Args, Clone, Default)]
pub(crate) struct Globals {
    /// The config file, instead of the nearest .sops.yaml [env: SOPS_CONFIG]
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Option<OsString>,
    /// Write the whole file anew with so many columns per level
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) indent: Option<i64>,
    /// Compute the MAC over encrypted values only
    #[arg(long)]
    pub(crate) mac_only_encrypted: bool,
}

/// What counts before a command when no option stands there: options that variables stand in for, for a command or
/// because the variable can be wrong. [`Legacy`] has them too, among many that take longer to build than most runs.
#[derive(Args)]
pub(crate) struct Surroundings {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[arg(long, hide = true)]
    pub(crate) disable_version_check: bool,
    #[command(flatten)]
    pub(crate) services: Services,
}

/// How files are read and written.
#[derive(Args)]
pub(crate) struct Input {
    /// The format of the input: yaml, json, dotenv, ini, toml, binary; default: by the file's name
    #[arg(long, value_name = "TYPE")]
    pub(crate) input_type: Option<String>,
    /// The format of the output; default: by the file's name
    #[arg(long, value_name = "TYPE")]
    pub(crate) output_type: Option<String>,
}

/// Where the result goes.
#[derive(Args)]
pub(crate) struct Output {
    /// Write the result to the file itself
    #[arg(short, long)]
    pub(crate) in_place: bool,
    /// Write the result to this file
    #[arg(long, value_name = "PATH")]
    pub(crate) output: Option<OsString>,
    /// Take format and creation rule from this name
    #[arg(long, value_name = "NAME")]
    pub(crate) filename_override: Option<OsString>,
}

/// Which values are encrypted.
#[derive(Args)]
pub(crate) struct Selecting {
    /// Leave values under keys with this suffix in clear
    #[arg(long, value_name = "SUFFIX")]
    pub(crate) unencrypted_suffix: Option<String>,
    /// Encrypt only values under keys with this suffix
    #[arg(long, value_name = "SUFFIX")]
    pub(crate) encrypted_suffix: Option<String>,
    /// Leave values under matching keys in clear
    #[arg(long, value_name = "REGEX")]
    pub(crate) unencrypted_regex: Option<String>,
    /// Encrypt only values under matching keys
    #[arg(long, value_name = "REGEX")]
    pub(crate) encrypted_regex: Option<String>,
    /// Leave values behind matching comments in clear
    #[arg(long, value_name = "REGEX")]
    pub(crate) unencrypted_comment_regex: Option<String>,
    /// Encrypt only values behind matching comments
    #[arg(long, value_name = "REGEX")]
    pub(crate) encrypted_comment_regex: Option<String>,
}

/// Who can decrypt a new file.
pub(crate) struct Recipients {
    /// For each row of [`PROVIDERS`] the text of its flag.
    pub(crate) keys: [Option<String>; PROVIDERS.len()],
    pub(crate) terms: Terms,
}

/// What comes with the keys of a new file.
#[derive(Args)]
pub(crate) struct Terms {
    /// The AWS profile for --kms
    #[arg(long, value_name = "NAME")]
    pub(crate) aws_profile: Option<String>,
    /// The encryption context for --kms, name:value,...
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) encryption_context: Option<String>,
    /// How many key groups are needed to decrypt
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) shamir_secret_sharing_threshold: Option<i64>,
}

/// Keys that come and go.
pub(crate) struct KeyChanges {
    /// For each row of [`PROVIDERS`] the text of its `--add-` flag.
    pub(crate) added: [Option<String>; PROVIDERS.len()],
    /// The same for `--rm-`.
    pub(crate) removed: [Option<String>; PROVIDERS.len()],
}

/// Who unwraps data keys.
#[derive(Args)]
pub(crate) struct Services {
    /// Unwrap data keys in this process [env: SOPS_ENABLE_LOCAL_KEYSERVICE]
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1)]
    #[arg(require_equals = true, action = ArgAction::Set, hide_default_value = true)]
    pub(crate) enable_local_keyservice: bool,
    /// Ask this key service; may be repeated [env: SOPS_KEYSERVICE]
    #[arg(long, value_name = "URI", action = ArgAction::Append)]
    pub(crate) keyservice: Vec<String>,
}

/// How files are unlocked.
#[derive(Args)]
pub(crate) struct Unlocking {
    /// The order in which key types are tried [env: SOPS_DECRYPTION_ORDER]
    #[arg(long, value_name = "TYPES")]
    pub(crate) decryption_order: Option<String>,
    #[command(flatten)]
    pub(crate) services: Services,
}

/// Whether the MAC counts.
#[derive(Args)]
pub(crate) struct Mac {
    /// Accept a file whose MAC does not hold
    #[arg(long)]
    pub(crate) ignore_mac: bool,
}

/// The words that are no options.
#[derive(Args)]
pub(crate) struct Words {
    /// The file, and what else the command takes.
    #[arg(value_name = "WORDS", hide = true)]
    pub(crate) words: Vec<OsString>,
}

#[derive(Args)]
#[command(override_usage = "orlop decrypt [OPTIONS] [FILE]   (without FILE: stdin)")]
pub(crate) struct Decrypt {
    #[command(flatten)]
    pub(crate) output: Output,
    /// Print only what this path names, such as '["a"][0]'
    #[arg(long, value_name = "PATH")]
    pub(crate) extract: Option<String>,
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) mac: Mac,
    #[command(flatten)]
    pub(crate) unlocking: Unlocking,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Args)]
#[command(
    override_usage = "orlop encrypt [OPTIONS] [FILE]   (without FILE: stdin, with --filename-override)"
)]
pub(crate) struct Encrypt {
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) recipients: Recipients,
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) selecting: Selecting,
    #[command(flatten)]
    pub(crate) services: Services,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Args)]
#[command(override_usage = "orlop edit [OPTIONS] FILE")]
pub(crate) struct Edit {
    #[command(flatten)]
    pub(crate) recipients: Recipients,
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) selecting: Selecting,
    /// Show the metadata too; key groups may be changed there
    #[arg(short, long)]
    pub(crate) show_master_keys: bool,
    #[command(flatten)]
    pub(crate) mac: Mac,
    #[command(flatten)]
    pub(crate) unlocking: Unlocking,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Args)]
#[command(
    override_usage = "orlop set [OPTIONS] FILE PATH VALUE   (VALUE is JSON, PATH such as '[\"a\"][0]')"
)]
pub(crate) struct Set {
    #[command(flatten)]
    pub(crate) input: Input,
    /// VALUE is the name of a file that holds the value
    #[arg(long)]
    pub(crate) value_file: bool,
    /// Read the value from stdin
    #[arg(long)]
    pub(crate) value_stdin: bool,
    #[command(flatten)]
    pub(crate) changing: Changing,
}

#[derive(Args)]
#[command(override_usage = "orlop unset [OPTIONS] FILE PATH   (PATH such as '[\"a\"][0]')")]
pub(crate) struct Unset {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) changing: Changing,
}

/// What `set` and `unset` have in common.
#[derive(Args)]
pub(crate) struct Changing {
    /// Write nothing when nothing changes
    #[arg(long)]
    pub(crate) idempotent: bool,
    #[arg(long, value_name = "N", hide = true, allow_negative_numbers = true)]
    pub(crate) shamir_secret_sharing_threshold: Option<i64>,
    #[command(flatten)]
    pub(crate) mac: Mac,
    #[command(flatten)]
    pub(crate) unlocking: Unlocking,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Args)]
#[command(override_usage = "orlop rotate [OPTIONS] FILE")]
pub(crate) struct Rotate {
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) changes: KeyChanges,
    /// The encryption context of AWS keys that come or go, name:value,...
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) encryption_context: Option<String>,
    #[command(flatten)]
    pub(crate) unlocking: Unlocking,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Args)]
#[command(override_usage = "orlop updatekeys [OPTIONS] FILE...")]
pub(crate) struct Updatekeys {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// The format of the file; default: by its name
    #[arg(long, value_name = "TYPE")]
    pub(crate) input_type: Option<String>,
    #[command(flatten)]
    pub(crate) services: Services,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Args)]
#[command(override_usage = "orlop filestatus [OPTIONS] FILE")]
pub(crate) struct Filestatus {
    /// The format of the file; default: by its name
    #[arg(long, value_name = "TYPE")]
    pub(crate) input_type: Option<String>,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[cfg(feature = "publish")]
#[derive(Args)]
#[command(override_usage = "orlop publish [OPTIONS] PATH")]
pub(crate) struct Publish {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Leave the extension out of the name
    #[arg(long)]
    pub(crate) omit_extensions: bool,
    /// Publish every file below PATH
    #[arg(long)]
    pub(crate) recursive: bool,
    #[arg(long, hide = true)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) unlocking: Unlocking,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[cfg(feature = "keyservice")]
#[derive(Args)]
#[command(override_usage = "orlop keyservice [OPTIONS]   (until SIGINT or SIGTERM)")]
pub(crate) struct Keyservice {
    /// The kind of network: tcp, tcp4, tcp6 or unix; default: tcp
    #[arg(long, visible_alias = "net", value_name = "KIND")]
    pub(crate) network: Option<String>,
    /// The address: host:port, or the path of a unix socket; default: 127.0.0.1:5000
    #[arg(long, visible_alias = "addr", value_name = "ADDRESS")]
    pub(crate) address: Option<String>,
    /// Ask on the terminal before each request is fulfilled
    #[arg(long)]
    pub(crate) prompt: bool,
    /// Print a line for each request
    #[arg(long)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Args)]
#[command(override_usage = "orlop groups add|delete [OPTIONS]", disable_help_subcommand = true)]
pub(crate) struct Groups {
    #[command(subcommand)]
    pub(crate) command: GroupsCommand,
}

#[derive(Subcommand)]
pub(crate) enum GroupsCommand {
    /// Add a key group to a file.
    Add(Box<GroupsAdd>),
    /// Delete a key group of a file, by its number from 0.
    Delete(GroupsDelete),
}

/// The keys of a new group; each flag may be repeated.
pub(crate) struct GroupKeys {
    /// For each row of [`PROVIDERS`] the texts of its flag.
    pub(crate) keys: [Vec<String>; PROVIDERS.len()],
}

/// What `groups add` and `groups delete` have in common.
#[derive(Args)]
pub(crate) struct Regrouping {
    /// The file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<OsString>,
    /// Write the result to the file itself
    #[arg(short, long)]
    pub(crate) in_place: bool,
    /// How many key groups are needed to decrypt
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) shamir_secret_sharing_threshold: Option<i64>,
    #[command(flatten)]
    pub(crate) services: Services,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Args)]
#[command(override_usage = "orlop groups add --file FILE [--age RECIPIENT]... [OPTIONS]")]
pub(crate) struct GroupsAdd {
    #[command(flatten)]
    pub(crate) keys: GroupKeys,
    /// The AWS profile for --kms
    #[arg(long, value_name = "NAME")]
    pub(crate) aws_profile: Option<String>,
    /// The encryption context for --kms, name:value,...
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) encryption_context: Option<String>,
    #[command(flatten)]
    pub(crate) regrouping: Regrouping,
}

#[derive(Args)]
#[command(override_usage = "orlop groups delete --file FILE [OPTIONS] NUMBER")]
pub(crate) struct GroupsDelete {
    #[command(flatten)]
    pub(crate) regrouping: Regrouping,
}

/// How a command is run.
#[derive(Args)]
pub(crate) struct Running {
    /// Run the command as this user
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Do not wait for the command (deprecated by sops)
    #[arg(long)]
    pub(crate) background: bool,
}

#[derive(Args)]
#[command(override_usage = "orlop exec-env [OPTIONS] FILE COMMAND   (COMMAND is one word, for /bin/sh)")]
pub(crate) struct ExecEnv {
    /// Leave out the variables of this process
    #[arg(long)]
    pub(crate) pristine: bool,
    /// Become the command instead of waiting for it
    #[arg(long)]
    pub(crate) same_process: bool,
    #[command(flatten)]
    pub(crate) running: Running,
    #[command(flatten)]
    pub(crate) unlocking: Unlocking,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Args)]
#[command(
    override_usage = "orlop exec-file [OPTIONS] FILE COMMAND   (COMMAND is one word, for /bin/sh; {} is the file)"
)]
pub(crate) struct ExecFile {
    /// Make a file that can be read more than once, in memory, instead of a FIFO
    #[arg(long)]
    pub(crate) no_fifo: bool,
    /// The name that the path of the file ends with
    #[arg(long, value_name = "NAME")]
    pub(crate) filename: Option<OsString>,
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) running: Running,
    #[command(flatten)]
    pub(crate) unlocking: Unlocking,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Args)]
#[command(override_usage = "orlop completion bash|zsh|fish|powershell")]
pub(crate) struct Completion {
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Args)]
#[command(override_usage = "orlop explain [OPTIONS] FILE")]
pub(crate) struct Explain {
    /// The format of the file; default: by its name
    #[arg(long, value_name = "TYPE")]
    pub(crate) input_type: Option<String>,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Args)]
#[command(override_usage = "orlop generate age [--output FILE]")]
pub(crate) struct Generate {
    /// Write the key to this new file, readable by you only
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<OsString>,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Args)]
#[command(override_usage = "orlop helm HELM-WORDS...")]
pub(crate) struct HelmWords {}

/// The form that sops had before it had commands: flags, then one file.
#[derive(Args)]
pub(crate) struct Legacy {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(flatten)]
    pub(crate) form: LegacyForm,
}

/// What only counts when no command is named.
#[derive(Args)]
#[command(next_help_heading = "Options of the older form")]
pub(crate) struct LegacyForm {
    /// Decrypt
    #[arg(short, long)]
    pub(crate) decrypt: bool,
    /// Encrypt
    #[arg(short, long)]
    pub(crate) encrypt: bool,
    /// Rotate
    #[arg(short, long)]
    pub(crate) rotate: bool,
    /// Set a value: '["a"][0] JSON'
    #[arg(long, value_name = "STR")]
    pub(crate) set: Option<String>,
    #[arg(long, value_name = "PATH", hide = true)]
    pub(crate) extract: Option<String>,
    #[arg(short, long, hide = true)]
    pub(crate) show_master_keys: bool,
    #[arg(long, hide = true)]
    pub(crate) verbose: bool,
    /// Print the version
    #[arg(short = 'v', long)]
    pub(crate) version: bool,
    #[arg(long, hide = true)]
    pub(crate) disable_version_check: bool,
    #[arg(long, hide = true)]
    pub(crate) check_for_updates: bool,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) recipients: Recipients,
    #[command(flatten)]
    pub(crate) selecting: Selecting,
    #[command(flatten)]
    pub(crate) changes: KeyChanges,
    #[command(flatten)]
    pub(crate) mac: Mac,
    #[command(flatten)]
    pub(crate) unlocking: Unlocking,
    #[command(flatten)]
    pub(crate) words: Words,
}

/// Flags for which a variable stands in, beside those of [`PROVIDERS`].
const VARIABLES: [(&str, &str); 5] = [
    ("config", "SOPS_CONFIG"),
    ("decryption-order", "SOPS_DECRYPTION_ORDER"),
    ("keyservice", "SOPS_KEYSERVICE"),
    ("enable-local-keyservice", "SOPS_ENABLE_LOCAL_KEYSERVICE"),
    ("disable-version-check", "SOPS_DISABLE_VERSION_CHECK"),
];

/// The variable that stands in for a flag.
pub(crate) fn variable_of(flag: &str) -> Option<&'static str> {
    let of_provider =
        PROVIDERS.iter().find(|provider| provider.flag == flag).map(|provider| provider.env_var);
    of_provider.or_else(|| VARIABLES.iter().find(|(name, _)| *name == flag).map(|(_, variable)| *variable))
}

/// As [`variable_of`] for `groups`, whose keys come from nowhere but its flags.
pub(crate) fn variable_for_groups(flag: &str) -> Option<&'static str> {
    VARIABLES.iter().find(|(name, _)| *name == flag).map(|(_, variable)| *variable)
}

/// One flag for each provider, with `prefix` before its name.
fn provider_flags(prefix: &'static str, what: fn(&str) -> String) -> impl Iterator<Item = Arg> {
    PROVIDERS.iter().map(move |provider| {
        let name = format!("{prefix}{}", provider.flag);
        let flag = Arg::new(name.clone()).long(name).value_name("KEYS").help(what(provider.help));
        match provider.short_flag {
            Some(letter) if prefix.is_empty() => flag.short(letter),
            _ => flag,
        }
    })
}

fn provider_values(matches: &mut ArgMatches, prefix: &str) -> [Option<String>; PROVIDERS.len()] {
    PROVIDERS.each_ref().map(|provider| matches.remove_one(&format!("{prefix}{}", provider.flag)))
}

impl Args for Recipients {
    fn augment_args(command: clap::Command) -> clap::Command {
        Terms::augment_args(command.args(provider_flags("", str::to_owned)))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Recipients {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self { keys: provider_values(matches, ""), terms: Terms::from_arg_matches_mut(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for GroupKeys {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(PROVIDERS.iter().map(|provider| {
            let flag = Arg::new(provider.flag).long(provider.flag).value_name("KEYS").help(provider.help);
            flag.action(ArgAction::Append)
        }))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for GroupKeys {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        let mut texts = |flag: &str| matches.remove_many(flag).map(Iterator::collect).unwrap_or_default();
        Ok(Self { keys: PROVIDERS.each_ref().map(|provider| texts(provider.flag)) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for KeyChanges {
    fn augment_args(command: clap::Command) -> clap::Command {
        command
            .args(provider_flags("add-", |help| format!("Add keys: {help}")))
            .args(provider_flags("rm-", |help| format!("Remove keys: {help}")))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for KeyChanges {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self { added: provider_values(matches, "add-"), removed: provider_values(matches, "rm-") })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_can_be_built_alone() {
        let whole = Cli::command();
        let names: Vec<&str> = whole.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(names, Command::NAMES);
        for known in whole.get_subcommands() {
            let alone = Command::options_of(known.get_name()).unwrap();
            let options = |command: &clap::Command| {
                command.get_arguments().map(|option| option.get_id().to_string()).collect::<Vec<_>>()
            };
            assert_eq!(options(&alone), options(known), "{}", known.get_name());
        }
    }

    #[test]
    fn every_variable_that_can_be_wrong_is_read_before_a_command() {
        use crate::argv::{Grammar, Takes};
        let (whole, few) = (
            Legacy::augment_args(clap::Command::new("orlop")),
            Surroundings::augment_args(clap::Command::new("orlop")),
        );
        let few = Grammar::of(&few, variable_of);
        let mut found = 0;
        for flag in &Grammar::of(&whole, variable_of).flags {
            let can_be_wrong = flag.variable.is_some() && matches!(flag.takes, Takes::Bool | Takes::Number);
            if can_be_wrong || flag.long == "config" {
                let same = few.flags.iter().any(|other| other.long == flag.long && other.takes == flag.takes);
                assert!(same, "{}", flag.long);
                found += 1;
            }
        }
        assert_eq!(found, 3);
    }
}
