//! `orlop exec-env`: a command with the values of a sealed file in its environment.

use std::path::PathBuf;

use orlop::simple::{self, MacCheck, VariablesError};

use crate::args::ExecEnv;
use crate::child::{Shell, User, Variables};
use crate::commands::exec_file::{ended, shell_failed};
use crate::context::{Context, Name, store_for};
use crate::error::{CommandError, Kind};
use crate::{io, ui};

pub(crate) fn run(context: &Context, args: ExecEnv) -> Result<u8, CommandError> {
    let [file, command] = &args.words.words[..] else {
        return Err(CommandError::usage("exec-env takes a file and a command")
            .hint("the command is one word: orlop exec-env FILE 'program \"$password\"'"));
    };
    let file = PathBuf::from(file);
    // sops: a config file that cannot be read stops every command that reads a file.
    let config = context.config(Some(&file))?;
    let store = store_for(context.name, None, Some(&file));
    context.style(config.as_ref(), store.format())?;
    let keyring =
        context.keyring(&args.unlocking.services, args.unlocking.decryption_order.as_deref(), Some(&file))?;
    if args.running.background && args.same_process {
        return Err(CommandError::conflict("--same-process cannot be used with --background"));
    }
    if args.running.background && context.name == Name::Sops {
        ui::warn("--background of exec-env is deprecated");
    }
    let opened = simple::open(io::read(&file)?, store, &keyring, MacCheck::Required)
        .map_err(|error| CommandError::from(error).doing("decrypt", &file))?;
    let values = opened.variables().map_err(|error| match error {
        VariablesError::Read(error) => CommandError::from(simple::SimpleError::Print(error)),
        error => CommandError::new(Kind::Generic, error.to_string())
            .hint("only values at the top of the file can be variables"),
    })?;
    drop(opened);

    let mut variables = if args.pristine { Variables::default() } else { Variables::of(&context.env) };
    if let Some(name) = &args.running.user {
        let user = User::named(name)?;
        user.become_it()?;
        variables.extend(user.variables());
    }
    for (name, value) in &values {
        variables.set(name.as_bytes(), value.expose());
    }
    drop(values);
    let shell = Shell { command: command.clone(), variables };
    if args.same_process {
        return Err(shell_failed(&shell.replace_this_process()));
    }
    if args.running.background {
        return shell.start_in_background(None).map(|()| 0).map_err(|error| shell_failed(&error));
    }
    ended(context, shell.run().map_err(|error| shell_failed(&error))?)
}
