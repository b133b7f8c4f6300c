//! `orlop completion`, and the candidates that its scripts ask for: command lines completed in a shell.

use std::ffi::OsString;

use clap::CommandFactory as _;
use orlop::Env;

use crate::args::{self, Cli, Completion};
use crate::argv::{self, Grammar};
use crate::commands::is_known;
use crate::context::Name;
use crate::error::{CommandError, Kind};
use crate::ui;

/// The last word of a command line that is to be completed.
///
/// sops: its scripts, and those that others wrote for it, append this word to what stands before the cursor.
pub(crate) const FLAG: &str = "--generate-bash-completion";

/// Shells there is a script for.
const SHELLS: [(&str, &str); 4] = [("bash", BASH), ("zsh", ZSH), ("fish", FISH), ("powershell", POWERSHELL)];

pub(crate) fn run(program: &str, args: &Completion) -> Result<(), CommandError> {
    let Some(shell) = args.words.words.first().and_then(|word| word.to_str()) else {
        let names: Vec<&str> = SHELLS.iter().map(|(name, _)| *name).collect();
        ui::print_line(format_args!("usage: {program} completion SHELL   ({})", names.join(", ")));
        return Ok(());
    };
    let script = SHELLS.iter().find(|(name, _)| *name == shell).map(|(_, script)| script);
    let script = script.ok_or_else(|| {
        CommandError::new(Kind::NoHelpTopic, format!("there is no script for the shell {shell:?}"))
            .hint("there are scripts for bash, zsh, fish and powershell")
    })?;
    // A name of letters that are no part of a function's name in some shell.
    let function: String = program.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    ui::print_line(script.replace("FUNCTION", &function).replace("PROGRAM", program).trim());
    Ok(())
}

/// Prints what may come next in a command line.
pub(crate) fn print_candidates(name: Name, mut words: Vec<OsString>, env: &Env) {
    let flag = words.pop_if(|word| word.as_encoded_bytes().starts_with(b"-"));
    let flag = flag.map(|flag| flag.to_string_lossy().into_owned());
    let with_help = env.text("_CLI_ZSH_AUTOCOMPLETE_HACK") == Some("1");
    for (candidate, help) in candidates(name, words, flag.as_deref(), env) {
        match with_help {
            true if !help.is_empty() => ui::print_line(format_args!("{candidate}:{help}")),
            _ => ui::print_line(candidate),
        }
    }
}

/// What may come behind `words`: flags that begin with `flag`, or else commands. Nothing where files come.
fn candidates(name: Name, words: Vec<OsString>, flag: Option<&str>, env: &Env) -> Vec<(String, String)> {
    let root = Cli::command();
    let Ok(read) = argv::read_strictly(&Grammar::of(&root, args::variable_of), words, env) else {
        return Vec::new();
    };
    let mut command = &root;
    for word in &read.words {
        let word = word.to_str().filter(|word| is_known(name, word));
        let nested = |command: &clap::Command| command.get_subcommands().next().is_some();
        match word.and_then(|word| command.find_subcommand(word)) {
            Some(found) => command = found,
            // A word that is none of the commands is a file.
            None if nested(command) => return Vec::new(),
            None => break,
        }
    }
    let help_of = |help: Option<&clap::builder::StyledStr>| help.map(ToString::to_string).unwrap_or_default();
    if let Some(flag) = flag {
        let own = command.get_arguments().flat_map(|arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            let help = help_of(arg.get_help());
            [long, short].into_iter().flatten().map(move |candidate| (candidate, help.clone()))
        });
        let help = ["--help", "-h"].map(|flag| (flag.to_owned(), "show help".to_owned()));
        return own.chain(help).filter(|(candidate, _)| candidate.starts_with(flag)).collect();
    }
    if command.get_name() == "completion" {
        return SHELLS.iter().map(|(shell, _)| ((*shell).to_owned(), String::new())).collect();
    }
    let commands = command.get_subcommands().filter(|command| is_known(name, command.get_name()));
    let mut names: Vec<(String, String)> =
        commands.map(|command| (command.get_name().to_owned(), help_of(command.get_about()))).collect();
    if !names.is_empty() {
        names.extend(["help", "h"].map(|word| (word.to_owned(), "show help".to_owned())));
    }
    names
}

const BASH: &str = r#"
_FUNCTION_complete() {
    local word=${COMP_WORDS[COMP_CWORD]} line=("${COMP_WORDS[@]:0:COMP_CWORD}")
    if [[ $word == -* ]]; then line+=("$word"); fi
    COMPREPLY=($(compgen -W "$("${line[@]}" --generate-bash-completion 2>/dev/null)" -- "$word"))
}
complete -o bashdefault -o default -F _FUNCTION_complete PROGRAM
"#;

const ZSH: &str = r#"
#compdef PROGRAM
_FUNCTION_complete() {
    local -a line found
    line=("${(@)words[1,CURRENT-1]}")
    if [[ ${words[CURRENT]} == -* ]]; then line+=("${words[CURRENT]}"); fi
    found=("${(@f)$(_CLI_ZSH_AUTOCOMPLETE_HACK=1 "${line[@]}" --generate-bash-completion 2>/dev/null)}")
    if [[ -n ${found[1]} ]]; then _describe 'PROGRAM' found; else _files; fi
}
compdef _FUNCTION_complete PROGRAM
"#;

const FISH: &str = r#"
function __FUNCTION_complete
    set -l line (commandline -opc)
    set -l word (commandline -ct)
    if string match -q -- '-*' $word
        set -a line $word
    end
    _CLI_ZSH_AUTOCOMPLETE_HACK=1 $line --generate-bash-completion 2>/dev/null | string replace : \t
end
complete -c PROGRAM -a '(__FUNCTION_complete)'
"#;

const POWERSHELL: &str = r#"
Register-ArgumentCompleter -Native -CommandName 'PROGRAM' -ScriptBlock {
    param($word, $ast, $cursor)
    $line = @($ast.CommandElements | ForEach-Object { $_.ToString() })
    if ($line[-1] -eq $word -and -not $word.StartsWith('-')) { $line = $line[0..($line.Count - 2)] }
    $rest = @($line | Select-Object -Skip 1) + '--generate-bash-completion'
    & $line[0] @rest 2>$null | Where-Object { $_.StartsWith($word) } | ForEach-Object {
        [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
    }
}
"#;
