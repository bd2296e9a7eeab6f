//! The folder of the demo's request logs, which ends with the stack.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempDir;

const PREFIX: &str = "wafer-metrics-local-stack-";
const LOCK: &str = ".lock";

/// A folder of its own, removed when this is dropped, or else by a later run.
#[derive(Debug)]
pub struct DemoFolder {
    folder: TempDir,
    /// Held while the process lives, however it ends.
    _lock: File,
}

impl DemoFolder {
    /// Below `parent`, after removing there what runs that were killed have left.
    pub fn new_in(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // It gets its name once it is locked, so that nobody meets it unlocked.
        let unnamed = folder.path().join(".locking");
        let lock = File::create(&unnamed)?;
        lock.lock()?;
        fs::rename(unnamed, folder.path().join(LOCK))?;
        Ok(Self { folder, _lock: lock })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders whose lock nobody holds. What cannot be removed is left.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok() && fs::remove_dir_all(entry.path()).is_err() {
            tracing::warn!(folder = %entry.path().display(), "left by an earlier run, and not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_removed_and_a_running_one_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let running = DemoFolder::new_in(parent.path()).unwrap();
        let killed = DemoFolder::new_in(parent.path()).unwrap();
        let (left, hour) = (killed.path().to_owned(), killed.path().join("hour=2026-11-24-20"));
        fs::create_dir(&hour).unwrap();
        // As the kernel does: the lock is gone, the folder is not.
        let DemoFolder { folder, _lock: lock } = killed;
        let _ = folder.keep();
        drop(lock);
        let unrelated = parent.path().join("wafer-metrics-local-stack-notes");
        fs::create_dir(&unrelated).unwrap();

        let next = DemoFolder::new_in(parent.path()).unwrap();
        assert!(!left.exists());
        assert!(running.path().exists() && next.path().exists() && unrelated.exists());
    }

    #[test]
    fn it_ends_with_its_owner() {
        let parent = tempfile::tempdir().unwrap();
        drop(DemoFolder::new_in(parent.path()).unwrap());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
