//! The one async runtime, made when something first talks to the network and never before.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::runtime::{Builder, Runtime};

/// Runs what is async inside for callers that are not.
///
/// Everything that talks shares one of these, so a process has one runtime at most, of the calling threads only: none
/// is started. Do not call it from inside an async program, but from a thread that may block (`spawn_blocking`).
#[derive(Default)]
pub struct Net {
    runtime: OnceLock<Runtime>,
    making: Mutex<()>,
}

impl Net {
    /// Runs `work` to its end, on the calling thread.
    ///
    /// Fails only where the operating system does not give what a runtime needs, such as file descriptors.
    pub fn run<F: Future>(&self, work: F) -> io::Result<F::Output> {
        Ok(self.runtime()?.block_on(work))
    }

    fn runtime(&self) -> io::Result<&Runtime> {
        let _one_at_a_time = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if self.runtime.get().is_none() {
            // Nobody else sets it: the lock is held.
            let _ = self.runtime.set(Builder::new_current_thread().enable_all().build()?);
        }
        Ok(self.runtime.get().expect("it was made just now"))
    }
}

impl Drop for Net {
    /// Does not wait for threads that look up a host name.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_threads_share_one_runtime() {
        let net = Net::default();
        let run = || net.run(async { tokio::task::spawn(async { 7 }).await.unwrap() }).unwrap();
        let results: Vec<i32> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(results, [7; 4]);
    }

    #[test]
    fn none_is_made_before_it_is_needed() {
        let net = Net::default();
        assert!(net.runtime.get().is_none());
        net.run(async {}).unwrap();
        assert!(net.runtime.get().is_some());
    }
}
