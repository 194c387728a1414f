//! Puts the page into the program. In debug builds it is read from `static/` at each request instead.

fn main() {
    memory_serve::load_directory("./static");
}
