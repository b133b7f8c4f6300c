//! Key services: other processes that wrap and unwrap for this one, and this one doing so for others.
//!
//! The protocol is that of sops 3.13, gRPC over plain HTTP/2, so either end may be sops. It has neither encryption nor
//! authentication: whoever reaches the socket can have data keys unwrapped. A unix socket has file permissions.

mod address;
mod client;
mod proto;
mod server;

pub use address::{Address, AddressError};
pub use client::{Patience, RemoteKeyService};
pub use server::{Attendant, KeyRequest, ListenError, Listener, Operation, Server};
