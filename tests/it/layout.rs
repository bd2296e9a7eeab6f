//! What the repository promises of itself.

use std::process::Command;

#[test]
fn the_functions_link_neither_datafusion_nor_dynoxide() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--edges", "normal", "--package", "wafer-metrics", "--prefix", "none", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("lambda_runtime"), "{tree}");
    for package in ["datafusion", "dynoxide", "arrow"] {
        assert!(!tree.lines().any(|line| line.starts_with(package)), "{package}");
    }
}
