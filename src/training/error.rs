//! What can go wrong with a run of training, in sentences that say what to change.

/// Everything this module refuses. None of it depends on who asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No recipe has this name.
    #[error("there is no recipe `{name}`; the recipes are {}", .known.join(", "))]
    UnknownRecipe {
        /// As asked for.
        name: String,
        /// Those there are.
        known: Vec<&'static str>,
    },
    /// A recipe file is not TOML.
    #[error("the recipe cannot be read: {0}")]
    RecipeFile(String),
    /// Keys or values of a recipe are wrong, one sentence each.
    #[error("the recipe cannot be used:\n  {}", .0.join("\n  "))]
    Recipe(Vec<String>),
}
