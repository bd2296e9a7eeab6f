//! What the repository promises of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Fails where one of these packages is among those that the functions' crate is built with.
fn links_none_of(packages: &[&str], edges: &str) {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--edges", edges, "--package", "wafer-metrics", "--prefix", "none", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("lambda_runtime"), "{tree}");
    for package in packages {
        assert!(!tree.lines().any(|line| line.starts_with(package)), "{package}");
    }
}

#[test]
fn the_functions_link_neither_datafusion_nor_dynoxide() {
    links_none_of(&["datafusion", "dynoxide", "arrow"], "normal");
}

#[test]
fn their_tests_do_not_link_datafusion() {
    links_none_of(&["datafusion", "arrow"], "normal,dev");
}

/// Every source file below a folder of the repository, by its path there.
fn sources(folder: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (mut files, mut folders) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("target") && !path.ends_with(".git") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    files
}

/// A source without its unit tests.
fn without_tests(source: &str) -> &str {
    source.split("#[cfg(test)]").next().unwrap()
}

/// The folders, or the files beside them, of a source folder, each with those it imports.
fn imports(folder: &str, krate: &str) -> BTreeMap<String, BTreeSet<String>> {
    let room = |path: &str| path.split(['/', '.']).next().unwrap().to_owned();
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, source) in sources(folder).iter().filter(|(path, _)| !path.ends_with("tests.rs")) {
        let own = room(path);
        let named = without_tests(source).split(['\n', ' ', '(', '<', '&', '[', '{']);
        let imported = named.filter_map(|word| word.strip_prefix("crate::").or_else(|| word.strip_prefix(krate)));
        let imported = imported.map(|path| path.split([':', ';', ',', ')']).next().unwrap().to_owned());
        rooms.entry(own.clone()).or_default().extend(imported.filter(|other| *other != own));
    }
    let names: BTreeSet<String> = rooms.keys().cloned().collect();
    for others in rooms.values_mut() {
        others.retain(|other| names.contains(other));
    }
    rooms
}

/// How many floors stand below a room; a circle of imports fails the test.
fn floors(rooms: &BTreeMap<String, BTreeSet<String>>, room: &str, above: &mut Vec<String>) -> usize {
    assert!(!above.iter().any(|other| other == room), "a circle of imports: {above:?} and again {room}");
    above.push(room.to_owned());
    let below = rooms[room].iter().map(|other| floors(rooms, other, above)).max();
    above.pop();
    below.map_or(1, |below| below + 1)
}

#[test]
fn imports_point_one_way_over_at_most_seven_floors() {
    for (folder, krate) in [("src", "wafer_metrics::"), ("local/src", "local_stack::")] {
        let rooms = imports(folder, krate);
        let height = rooms.keys().map(|room| floors(&rooms, room, &mut Vec::new())).max().unwrap();
        assert!((3..=7).contains(&height), "{folder}: {height} floors: {rooms:#?}");
    }
}

#[test]
fn stores_know_no_http_and_the_model_knows_nothing_above_it() {
    let rooms = imports("src", "wafer_metrics::");
    assert!(rooms["stores"].is_disjoint(&["http", "answer", "exposition", "refresh"].map(str::to_owned).into()));
    assert!(rooms["model"].is_empty(), "{:?}", rooms["model"]);
    assert!(!rooms["http"].contains("answer") && !rooms["http"].contains("stores"), "{:?}", rooms["http"]);
}

#[test]
fn no_source_file_is_longer_than_350_lines() {
    for (path, source) in sources("") {
        let lines = without_tests(&source).lines().count();
        assert!(lines <= 350 || path.contains("tests"), "{path} has {lines} lines");
    }
}

/// A source whose raw strings are empty: the lines of a snapshot are as long as they are.
fn without_raw_strings(source: &str) -> String {
    let (mut kept, mut rest) = (String::new(), source);
    let first = |text: &str, start: &str| {
        let mut places = text.match_indices(start).map(|(place, _)| place);
        places.find(|place| !text[..*place].ends_with(char::is_alphanumeric)).map(|place| place + start.len())
    };
    while let Some((begin, end)) =
        [("r#\"", "\"#"), ("r\"", "\"")].iter().filter_map(|(start, end)| Some((first(rest, start)?, end))).min()
    {
        kept.push_str(&rest[..begin]);
        rest = &rest[begin..];
        rest = &rest[rest.find(end).unwrap()..];
    }
    kept + rest
}

#[test]
fn rust_has_120_columns() {
    for (path, source) in sources("") {
        for line in without_raw_strings(&source).lines().filter(|line| line.chars().count() > 120) {
            let words = line.trim_start_matches(['/', '!', ' ']);
            assert!(!words.contains(' '), "{path}: {line}");
        }
    }
}

/// Turns of phrase that a reader stumbles over, each with what to write instead.
const TICS: [(&str, &str); 8] = [
    ("as a rule", "usually"),
    ("cannot be had", "is unavailable"),
    ("not to be had", "is unavailable"),
    ("for ever ", "forever"),
    ("one file a minute", "per"),
    ("one item an endpoint", "per"),
    ("no reason to", "not a reason to"),
    ("is no quantile", "is not a quantile"),
];

#[test]
fn prose_has_120_columns_and_common_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(|page| root.join(page));
    for page in docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")).chain(pages) {
        let text = fs::read_to_string(&page).unwrap();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        for (tic, plain) in TICS {
            assert!(!words.contains(tic), "{} has '{tic}' for '{plain}'", page.display());
        }
        // Every second part is within a code fence.
        for prose in text.split("\n```").step_by(2) {
            let lines = prose.lines().skip_while(|line| line.is_empty());
            for line in lines.filter(|line| !line.starts_with(['|', ' '])) {
                assert!(line.chars().count() <= 120, "{}: {line}", page.display());
            }
        }
    }
}
