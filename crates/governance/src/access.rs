//! Rights: what a role gives, and what several roles give together.
//!
//! A right is a level on a component. System roles add up to the highest of each component; custom
//! roles narrow one another; what system roles give and what custom roles give is joined. A grant
//! that has expired gives nothing, but a custom one still narrows the others: nobody gains because
//! time has passed. Everything here is pure.

mod grant;
mod rights;
mod role;
#[cfg(test)]
mod tests;

pub use grant::{Grant, GrantedRole, Standing};
pub(crate) use rights::named;
pub use rights::{Component, Level, Rights};
pub use role::SystemRole;
