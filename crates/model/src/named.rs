//! Enums whose variants have stable names: words of logs, answers and documents.

/// Declares an enum, a name for each of its variants, and the list of all of them.
///
/// The list is made from the declaration, so that no variant can be missing in it: what goes through it
/// (a document that has to name every one, say) goes through all.
///
/// ```
/// model::named! {
///     /// What is drunk.
///     #[derive(Debug, Clone, Copy, PartialEq, Eq)]
///     pub enum Drink {
///         const ALL, fn as_str;
///         /// From leaves.
///         Tea = "tea",
///         /// From beans.
///         Coffee = "coffee",
///     }
/// }
/// assert_eq!(Drink::ALL, [Drink::Tea, Drink::Coffee]);
/// assert_eq!(Drink::Coffee.as_str(), "coffee");
/// ```
///
/// What stands before `const ALL` holds for the list, such as `#[cfg(test)]` where the program itself
/// does not need it.
#[macro_export]
macro_rules! named {
    (
        $(#[$outer:meta])*
        $visibility:vis enum $name:ident {
            $(#[$all:meta])* const ALL, fn $method:ident;
            $($(#[$inner:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$outer])*
        $visibility enum $name {
            $($(#[$inner])* $variant,)+
        }

        impl $name {
            /// Every one, in the order of their declaration.
            $(#[$all])*
            $visibility const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name.
            #[must_use]
            $visibility const fn $method(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}
