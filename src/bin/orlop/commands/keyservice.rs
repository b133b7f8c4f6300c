//! `orlop keyservice`: data keys wrapped and unwrapped for others.

use std::sync::Mutex;

use orlop::keyservice::{Attendant, KeyRequest, ListenError, Listener, Server};
use orlop::net::Net;

use crate::args::Keyservice;
use crate::context::{Context, io_reason};
use crate::error::{CommandError, Kind};
use crate::ui;

pub(crate) fn run(context: &Context, args: Keyservice) -> Result<(), CommandError> {
    let network = args.network.as_deref().unwrap_or("tcp");
    let address = args.address.as_deref().unwrap_or("127.0.0.1:5000");
    let listener = Listener::bind(network, address).map_err(cannot_listen)?;
    if listener.is_open_to_the_network() {
        ui::warn(format_args!(
            "other machines may reach {}: whoever does can have data keys decrypted, and they travel in clear",
            listener.address()
        ));
    }
    let env = context.env.clone();
    let attendant = AtTerminal { asks: args.prompt.then(Mutex::default), tells: args.verbose };
    let server = Server::new(move || Box::new(crate::context::session(&env)), attendant);
    let listening = format!("Listening on {}", listener.address());
    server.serve(listener, &Net::default(), || ui::note(listening)).map_err(|error| {
        CommandError::new(Kind::Generic, format!("the key service ended: {}", io_reason(&error)))
    })
}

fn cannot_listen(error: ListenError) -> CommandError {
    let (message, hint) = match &error {
        ListenError::Bind { address, source } => (
            format!("cannot listen on {address}: {}", io_reason(source)),
            match source.kind() {
                std::io::ErrorKind::AddrInUse if address.starts_with("unix:") => {
                    Some("if no key service runs there any more, remove the file")
                }
                std::io::ErrorKind::AddrInUse => Some("choose another one with --address"),
                _ => None,
            },
        ),
        error => (format!("cannot listen: {error}"), Some("--network is tcp, tcp4, tcp6 or unix")),
    };
    let error = CommandError::new(Kind::Generic, message);
    hint.into_iter().fold(error, CommandError::hint)
}

/// The human at the terminal, who may be asked and may be told.
struct AtTerminal {
    /// There when requests are to be agreed to: one after another.
    asks: Option<Mutex<()>>,
    tells: bool,
}

impl Attendant for AtTerminal {
    fn allows(&self, request: &KeyRequest) -> bool {
        let Some(asks) = &self.asks else { return true };
        let _one_at_a_time = asks.lock();
        let question =
            format!("Received {} request using {}. Respond to request?", request.operation, named(request));
        ui::ask(&question).unwrap_or_else(|error| {
            ui::warn(format_args!("the request is refused: {}", io_reason(&error)));
            false
        })
    }

    fn answered(&self, request: &KeyRequest, failure: Option<&str>) {
        if self.tells {
            let outcome = failure.unwrap_or("done");
            ui::note(format_args!("{} request using {}: {outcome}", request.operation, named(request)));
        }
    }
}

fn named(request: &KeyRequest) -> String {
    format!("{} key {}", request.key.provider().human_name, request.key)
}
