//! Who calls, and what he may do in which solution.
//!
//! Pure: how somebody proves who he is, and what a method needs, are said elsewhere (`rpc/callers`, `rpc/methods`).
//! Invariant: a right that no grant gives is not there; grants only ever add up, and an intersection only takes away.

use std::{collections::HashMap, sync::Arc};

use super::SolutionId;

/// An authenticated caller. Cloned for every call, so it is one pointer.
#[derive(Debug, Clone)]
pub struct Principal(Arc<Facts>);

#[derive(Debug)]
struct Facts {
    id: Arc<str>,
    kind: PrincipalKind,
    grants: Grants,
    act_for_others: bool,
}

/// What a caller is, for people who read the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// Whoever calls while no authentication is configured.
    Anonymous,
    /// A program.
    Service,
    /// A human being.
    Person,
}

/// What somebody may do, as grants name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads.
    Reader,
    /// Reads, and changes documents.
    Writer,
    /// Reads, and approves, rejects, archives: not a writer, so that the two can be kept apart.
    Approver,
    /// Everything, document types too.
    Admin,
}

/// What a method needs of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To read the solution.
    Read,
    /// To change its documents.
    Write,
    /// To decide about its documents.
    Approve,
    /// To set the solution's rules.
    Administer,
    /// To operate the router itself: admin of every solution, those of tomorrow included.
    Operate,
}

/// Where a grant holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// In every solution, known or not.
    Everywhere,
    /// In one.
    Solution(SolutionId),
}

/// A role in one solution, or in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Where.
    pub extent: Extent,
    /// As what.
    pub role: Role,
}

/// All grants of a caller, added up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    everywhere: Rights,
    in_solution: HashMap<SolutionId, Rights>,
    /// Whatever holds anywhere: asked of each call before its solution is known.
    somewhere: Rights,
}

/// A set of rights, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Rights(u8);

// === impl Principal ===

impl Principal {
    /// Somebody who has proved to be `id`.
    pub fn new(id: &str, kind: PrincipalKind, grants: Grants, act_for_others: bool) -> Self {
        Self(Arc::new(Facts { id: id.into(), kind, grants, act_for_others }))
    }

    /// The caller when no authentication is configured: admin of every solution, who may act for others.
    pub fn anonymous() -> Self {
        let grants = [Grant { extent: Extent::Everywhere, role: Role::Admin }].into_iter().collect();
        Self::new("anonymous", PrincipalKind::Anonymous, grants, true)
    }

    /// The name that rows and the audit carry.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The same, to be kept.
    pub fn shared_id(&self) -> &Arc<str> {
        &self.0.id
    }

    /// What he is.
    pub fn kind(&self) -> PrincipalKind {
        self.0.kind
    }

    /// True if he may do that in this solution.
    pub fn may(&self, need: Need, solution: &SolutionId) -> bool {
        self.0.grants.allow(need, solution)
    }

    /// True if there is, or could be, a solution in which he may do that.
    pub fn may_somewhere(&self, need: Need) -> bool {
        self.0.grants.allow_somewhere(need)
    }

    /// True if he may know of every solution: only to him is it said that there is none of a name.
    pub fn sees_all(&self) -> bool {
        self.0.grants.everywhere.hold(Need::Read)
    }

    /// True if he may say on whose behalf he calls.
    pub fn may_act_for_others(&self) -> bool {
        self.0.act_for_others
    }

    /// The same, held to what `other` may do as well: two credentials came, and neither widens the other.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        if Arc::ptr_eq(&self.0, &other.0) {
            return self.clone();
        }
        Self(Arc::new(Facts {
            id: Arc::clone(&self.0.id),
            kind: self.0.kind,
            grants: self.0.grants.intersection(&other.0.grants),
            act_for_others: self.0.act_for_others && other.0.act_for_others,
        }))
    }
}

// === impl Grants ===

impl Grants {
    fn allow(&self, need: Need, solution: &SolutionId) -> bool {
        match need {
            Need::Operate => self.everywhere.hold(need),
            Need::Read | Need::Write | Need::Approve | Need::Administer => self.rights(solution).hold(need),
        }
    }

    fn allow_somewhere(&self, need: Need) -> bool {
        match need {
            Need::Operate => self.everywhere.hold(need),
            Need::Read | Need::Write | Need::Approve | Need::Administer => self.somewhere.hold(need),
        }
    }

    fn rights(&self, solution: &SolutionId) -> Rights {
        let own = self.in_solution.get(solution).copied().unwrap_or_default();
        self.everywhere.and_also(own)
    }

    /// What both allow.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let everywhere = self.everywhere.common(other.everywhere);
        let named = self.in_solution.keys().chain(other.in_solution.keys());
        let in_solution: HashMap<_, _> = named
            .map(|solution| (solution.clone(), self.rights(solution).common(other.rights(solution))))
            .filter(|(_, rights)| *rights != Rights::default())
            .collect();
        let somewhere = in_solution.values().fold(everywhere, |all, rights| all.and_also(*rights));
        Self { everywhere, in_solution, somewhere }
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        let mut this = Self::default();
        for Grant { extent, role } in grants {
            let rights = Rights::of(role);
            let held = match extent {
                Extent::Everywhere => &mut this.everywhere,
                Extent::Solution(solution) => this.in_solution.entry(solution).or_default(),
            };
            *held = held.and_also(rights);
            this.somewhere = this.somewhere.and_also(rights);
        }
        this
    }
}

// === impl Rights ===

impl Rights {
    const READ: u8 = 1;
    const WRITE: u8 = 2;
    const APPROVE: u8 = 4;
    const ADMINISTER: u8 = 8;

    fn of(role: Role) -> Self {
        Self(match role {
            Role::Reader => Self::READ,
            Role::Writer => Self::READ | Self::WRITE,
            Role::Approver => Self::READ | Self::APPROVE,
            Role::Admin => Self::READ | Self::WRITE | Self::APPROVE | Self::ADMINISTER,
        })
    }

    fn hold(self, need: Need) -> bool {
        let bit = match need {
            Need::Read => Self::READ,
            Need::Write => Self::WRITE,
            Need::Approve => Self::APPROVE,
            Need::Administer | Need::Operate => Self::ADMINISTER,
        };
        self.0 & bit != 0
    }

    fn and_also(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: [Need; 5] = [Need::Read, Need::Write, Need::Approve, Need::Administer, Need::Operate];

    fn id(text: &str) -> SolutionId {
        SolutionId::parse(text).unwrap()
    }

    fn grants(list: &[(&str, Role)]) -> Grants {
        let grant = |(solution, role): &(&str, Role)| Grant {
            extent: if *solution == "*" { Extent::Everywhere } else { Extent::Solution(id(solution)) },
            role: *role,
        };
        list.iter().map(grant).collect()
    }

    fn may(grants: &Grants, solution: &str) -> Vec<bool> {
        NEEDS.iter().map(|need| grants.allow(*need, &id(solution))).collect()
    }

    #[test]
    fn a_role_holds_in_its_solution_and_nowhere_else() {
        for (role, rights) in [
            (Role::Reader, [true, false, false, false, false]),
            (Role::Writer, [true, true, false, false, false]),
            (Role::Approver, [true, false, true, false, false]),
            (Role::Admin, [true, true, true, true, false]),
        ] {
            let grants = grants(&[("acme", role)]);
            assert_eq!(may(&grants, "acme"), rights, "{role:?}");
            assert_eq!(may(&grants, "acme_corp"), [false; 5], "{role:?}");
        }
        assert_eq!(may(&Grants::default(), "acme"), [false; 5]);
    }

    #[test]
    fn the_router_is_operated_by_admins_of_every_solution_alone() {
        assert!(grants(&[("*", Role::Admin)]).allow(Need::Operate, &id("any")));
        assert!(!grants(&[("*", Role::Writer), ("any", Role::Admin)]).allow(Need::Operate, &id("any")));
        assert!(!grants(&[("any", Role::Admin)]).allow_somewhere(Need::Operate));
    }

    #[test]
    fn grants_add_up() {
        let both = grants(&[("*", Role::Reader), ("acme", Role::Writer), ("acme", Role::Approver)]);
        assert_eq!(may(&both, "acme"), [true, true, true, false, false]);
        assert_eq!(may(&both, "globex"), [true, false, false, false, false]);
        assert!(both.allow_somewhere(Need::Approve));
    }

    /// Every pair of two small worlds: the intersection allows what both allow, no more and no less.
    #[test]
    fn an_intersection_allows_what_both_allow() {
        let roles = [Role::Reader, Role::Writer, Role::Approver, Role::Admin];
        let mut worlds = vec![Grants::default()];
        for role in roles {
            worlds.push(grants(&[("*", role)]));
            worlds.push(grants(&[("acme", role)]));
            worlds.extend(roles.map(|other| grants(&[("*", other), ("acme", role)])));
            worlds.push(grants(&[("globex", role)]));
        }
        for a in &worlds {
            for b in &worlds {
                let both = a.intersection(b);
                for need in NEEDS {
                    for solution in ["acme", "globex", "nobody"] {
                        let solution = id(solution);
                        let expected = a.allow(need, &solution) && b.allow(need, &solution);
                        assert_eq!(both.allow(need, &solution), expected, "{need:?} {solution} {a:?} {b:?}");
                    }
                    let somewhere = ["acme", "globex", "nobody"].iter().any(|solution| both.allow(need, &id(solution)));
                    assert_eq!(both.allow_somewhere(need), somewhere, "{need:?} {a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn whoever_reads_in_every_solution_sees_all_and_nobody_else() {
        let sees_all =
            |list: &[(&str, Role)]| Principal::new("a", PrincipalKind::Service, grants(list), false).sees_all();
        for role in [Role::Reader, Role::Writer, Role::Approver, Role::Admin] {
            assert!(sees_all(&[("*", role)]), "{role:?}");
            assert!(!sees_all(&[("acme", role), ("globex", role)]), "{role:?}");
        }
        assert!(!sees_all(&[]));
    }

    #[test]
    fn without_authentication_everybody_is_admin_of_every_solution() {
        let anonymous = Principal::anonymous();
        assert!(anonymous.sees_all() && anonymous.may_act_for_others());
        for need in NEEDS {
            assert!(anonymous.may(need, &id("acme")) && anonymous.may_somewhere(need), "{need:?}");
        }
    }

    #[test]
    fn acting_for_others_needs_both_credentials_to_say_so() {
        let principal = |act| Principal::new("a", PrincipalKind::Service, Grants::default(), act);
        assert!(principal(true).within(&principal(true)).may_act_for_others());
        assert!(!principal(true).within(&principal(false)).may_act_for_others());
        assert!(!principal(false).within(&principal(true)).may_act_for_others());
    }
}
