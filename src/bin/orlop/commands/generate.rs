//! `orlop generate age`: a new key, in the form that age-keygen gives it.

use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use age::secrecy::ExposeSecret as _;
use orlop::SecretText;
use orlop::metadata::LastModified;

use crate::args::Generate;
use crate::error::{CommandError, Kind};
use crate::{io, ui};

pub(crate) fn run(args: &Generate) -> Result<(), CommandError> {
    match args.words.words.iter().map(|word| word.to_str()).collect::<Vec<_>>()[..] {
        [Some("age")] => generate_age(args.output.as_ref().map(Path::new)),
        [] => Err(CommandError::usage("generate what?").hint("orlop generate age [--output FILE]")),
        _ => Err(CommandError::usage("this version generates age keys only")
            .hint("orlop generate age [--output FILE]")),
    }
}

fn generate_age(output: Option<&Path>) -> Result<(), CommandError> {
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public();
    let secret = identity.to_string();
    let mut text = SecretText::with_capacity(256);
    text.push_str("# created: ");
    text.push_str(LastModified::at(SystemTime::now()).as_str());
    text.push_str(&format!("\n# public key: {recipient}\n"));
    text.push_str(secret.expose_secret());
    text.push_str("\n");
    let Some(path) = output else { return io::print(&text) };
    // The place where keys are looked for may not be there yet.
    io::create_private_folder(path.parent())
        .map_err(|error| CommandError::writing(path.display(), &error))?;
    io::create_private(path, text.expose()).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let message =
                format!("cannot write {}: it exists, and a key is never overwritten", path.display());
            CommandError::new(Kind::CouldNotWriteOutputFile, message).hint("choose another name")
        }
        _ => CommandError::writing(path.display(), &error),
    })?;
    ui::note(format_args!("Public key: {recipient}"));
    Ok(())
}
