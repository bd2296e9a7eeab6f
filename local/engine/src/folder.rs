//! What is in a folder of request logs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Something in an hour's folder, or in one below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Log(PathBuf),
    /// What is not read, and why.
    Ignored(PathBuf, &'static str),
}

/// Everything in a folder and those below it, by name.
///
/// Hive leaves out names that begin with a dot or an underscore, so that a writer can finish a file under such a name
/// and then rename it; Athena leaves out what has no bytes.
pub fn found_below(folder: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in entries(folder)? {
        let path = entry.path();
        if is_hidden(&entry) {
            found.push(Found::Ignored(path, "its name begins with . or _"));
        } else if entry.file_type()?.is_dir() {
            found.extend(found_below(&path)?);
        } else if !fs::metadata(&path).is_ok_and(|file| file.is_file()) {
            found.push(Found::Ignored(path, "it is not a file"));
        } else if fs::metadata(&path).is_ok_and(|file| file.len() == 0) {
            found.push(Found::Ignored(path, "it is empty"));
        } else {
            found.push(Found::Log(path));
        }
    }
    Ok(found)
}

/// The files that are read.
pub fn logs_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let found = found_below(folder)?.into_iter();
    Ok(found.filter_map(|found| if let Found::Log(path) = found { Some(path) } else { None }).collect())
}

fn is_hidden(entry: &fs::DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().first().is_some_and(|first| b"._".contains(first))
}

/// What is in a folder, by name; nothing where there is none.
pub fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}
