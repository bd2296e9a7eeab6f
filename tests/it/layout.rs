//! What the repository promises of itself.

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
