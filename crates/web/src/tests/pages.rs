//! The pages behind the sign-in, each as somebody of a role sees it: what they show, what they hide,
//! what they leave in the audit log, and that nothing that was sent breaks out of them.

mod addresses;
mod changes;
mod html;
mod people;
mod personal;
mod reading;
mod settings;
mod tables;
mod visitor;
