//! What systems leave in folders that nobody put there.

/// Names of macOS, Windows, Linux and network storage, in lower case.
const NAMES: [&str; 14] = [
    "__macosx",
    "icon\r",
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "@eadir",
    "#recycle",
    "#snapshot",
    "@recycle",
    "@recently-snapshot",
];

/// Whether a file or folder of this name is hidden or a system's: `._NAME`, `.DS_Store`, `__MACOSX`, `Thumbs.db`, ….
pub(super) fn is_litter(name: &str) -> bool {
    name.starts_with('.') || NAMES.contains(&name.to_lowercase().as_str())
}
