//! What an actor may read of an account: the one place where a [`ReadPolicy`] is made of roles or scopes.

use control::{Act, Actor, authz};
use governance::AccountRules;
use query::ReadPolicy;
use std::sync::Arc;

/// All but people who were deleted or whose processing is restricted, of those whom the actor's roles
/// are for, with masked what the actor does not see.
pub(crate) fn policy(actor: &Actor, rules: &AccountRules) -> ReadPolicy {
    whole(actor, rules).without(Arc::clone(&rules.restricted))
}

/// As [`policy`], of one person who is named: whoever handles requests of people finds those whose
/// processing is restricted too.
pub(crate) fn person_policy(actor: &Actor, rules: &AccountRules) -> ReadPolicy {
    match authz::allows(actor, Act::RestrictPeople, rules.id) {
        true => whole(actor, rules),
        false => policy(actor, rules),
    }
}

fn whole(actor: &Actor, rules: &AccountRules) -> ReadPolicy {
    let mut policy = ReadPolicy::new(rules.id, Arc::clone(&rules.suppressed))
        .under(authz::filters(actor, rules.id));
    policy.masks = Arc::new(authz::masks(actor, rules.id, &rules.classes));
    policy
}
