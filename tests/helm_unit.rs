//! Runs the unit tests of the helm wrapper until the binary declares the module itself.
#![expect(dead_code, reason = "the binary's commands use these")]

#[path = "../src/bin/orlop/helm/mod.rs"]
mod helm;

#[path = "."]
mod commands {
    #[path = "../src/bin/orlop/commands/helm.rs"]
    mod helm;
}
