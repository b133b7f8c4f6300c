//! `orlop encrypt`: a plain file sealed for the keys of its creation rule.

use orlop::simple;

use crate::args::Encrypt;
use crate::commands::source::Source;
use crate::context::{Context, absolute};
use crate::error::CommandError;
use crate::rules::{self, Form};
use crate::ui;

pub(crate) fn run(context: &Context, args: Encrypt) -> Result<(), CommandError> {
    run_in_form(context, args, Form::Command)
}

pub(crate) fn run_in_form(context: &Context, args: Encrypt, form: Form) -> Result<(), CommandError> {
    let source = Source::of(&args.words.words, args.output)?;
    source.ensure_exists()?;
    let Some(name) = source.name.clone() else {
        return Err(CommandError::conflict("encrypting from stdin needs --filename-override")
            .hint("the name decides which creation rule holds and what format the text is"));
    };
    let config = context.config(Some(&name))?;
    let (store, printing) = source.printing(context, config.as_ref(), &args.input)?;
    let (config, name) = (config.as_ref(), absolute(&name)?);
    let metadata = rules::metadata_for(context, config, &name, &args.recipients, &args.selecting, form)?;
    let metadata = rules::fitting(metadata, store);
    let keyring = context.keyring_in_file_order(&args.services, source.file.as_deref())?;

    let title = source.title().to_owned();
    let (text, sink) = source.read()?;
    let sealed = simple::encrypt(text, store, metadata, &keyring, printing)
        .map_err(|error| CommandError::from(error).doing("encrypt", &title))?;
    if sealed.aliases_expanded {
        ui::note(format_args!(
            "orlop: note: aliases of {} were written out: a value that is encrypted is bound to its own place",
            title.display()
        ));
    }
    sink.write(&sealed.text)
}
