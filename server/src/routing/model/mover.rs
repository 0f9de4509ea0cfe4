//! What a mover does: as `moving`, `ledger_move` and `ledger_operator` do, a transaction or a reading a step.

use super::{
    moving::{Mover, Next, Side},
    world::{Fence, Going, Place, Record, Slip, State, World},
};

impl World {
    /// The next step of a mover.
    pub(super) fn step(&mut self, number: usize, succeeds: bool) {
        let mover = self.movers[number];
        let next = if succeeds {
            self.moved(mover)
        } else {
            self.left.backs -= 1;
            Next::Back
        };
        self.movers[number].next = next;
        self.movers.retain(|mover| mover.next != Next::Over);
    }

    #[expect(clippy::too_many_lines, reason = "one match, a step of the protocol an arm")]
    fn moved(&mut self, mover: Mover) -> Next {
        let Mover { id, to, epoch, .. } = mover;
        match mover.next {
            Next::Begin { instead } => self.begin(mover, instead),
            Next::Freeze => self.freeze(mover),
            Next::Open => self.open(mover),
            Next::Clear => match self.holds(to, id, &[State::Copying, State::Moved]) {
                true => {
                    self.set_rows(to, 0);
                    self.set_torn(to, true);
                    Next::Copy { copied: 0, row: 0, inside: false }
                }
                false => Next::Back,
            },
            Next::Copy { copied, row: 0, .. } => match self.rows_at(to.other()) & !copied {
                0 => Next::Compare,
                rows => Next::Copy { copied, row: rows & rows.wrapping_neg(), inside: false },
            },
            Next::Copy { copied, row, inside: false } => {
                let may = self.holds(to, id, &[State::Copying]) && self.rows_at(to) & row == 0;
                if may { Next::Copy { copied, row, inside: true } } else { Next::Back }
            }
            Next::Copy { copied, row, .. } => {
                self.set_rows(to, self.rows_at(to) | row);
                self.set_torn(to, true);
                Next::Copy { copied: copied | row, row: 0, inside: false }
            }
            Next::Compare => {
                let same = self.rows_at(Side::System) == self.rows_at(Side::Own);
                match self.slip {
                    _ if !same => Next::Back,
                    Some(Slip::FinishedFirst) => Next::Finish,
                    _ => Next::Switch,
                }
            }
            Next::Switch => self.switch(mover),
            Next::Finish => {
                self.follow(to, epoch + 1);
                let is_first = self.slip == Some(Slip::FinishedFirst);
                if is_first { Next::Switch } else { Next::Over }
            }
            Next::Back => self.take_back(mover),
            Next::Reopen { epoch } => {
                self.follow(Side::Own, epoch);
                Next::Tidy { epoch }
            }
            Next::Tidy { epoch } => self.tidy(mover, epoch),
            Next::Empty { epoch, id } => {
                if self.rows_at(to) != 0 {
                    if !self.holds(to, id, &[State::Copying, State::Moved]) {
                        return Next::Over;
                    }
                    self.set_rows(to, 0);
                }
                Next::Close { epoch, id }
            }
            Next::Close { epoch, id } => {
                if self.slip == Some(Slip::ClosedUnderWriters) && to == Side::Own {
                    self.follow(Side::System, epoch);
                    if self.rows_at(to) == 0 {
                        self.set_torn(to, false);
                    }
                    return Next::Over;
                }
                self.close_purge(to, id);
                if to == Side::Own { Next::SealAgain { epoch } } else { Next::Over }
            }
            Next::SealAgain { epoch } => {
                self.seal(epoch);
                Next::Over
            }
            Next::OpenPurge => self.open_purge(mover),
            Next::Purge => {
                let rows = self.rows_at(to);
                if rows == 0 {
                    return Next::ClosePurge;
                }
                if !self.holds(to, id, &[State::Copying, State::Moved]) {
                    return Next::Over;
                }
                self.set_rows(to, rows & rows.wrapping_sub(1));
                self.set_torn(to, true);
                Next::Purge
            }
            Next::ClosePurge => {
                self.close_purge(to, id);
                Next::Over
            }
            Next::Seal { seen } => match self.seal(epoch.saturating_sub(1)) {
                true => Next::Settle { seen },
                false => Next::Over,
            },
            Next::Settle { seen } => self.settle(epoch, seen),
            Next::OpenOwn { epoch } => {
                self.follow(Side::Own, epoch);
                Next::Over
            }
            Next::Over => Next::Over,
        }
    }

    /// `move_begin.sql`, and `fence_first_write.sql` before it.
    fn begin(&mut self, mover: Mover, instead: u8) -> Next {
        let Some(record) = self.ledger.record else { return Next::Over };
        let going = self.ledger.going.map_or(0, |going| going.id);
        if record.epoch != mover.epoch || record.place.side() == mover.to || going != instead {
            return Next::Over;
        }
        if mover.to == Side::Own {
            self.ledger.fence.get_or_insert(Fence::active(0));
        }
        self.ledger.write(record.place, record.epoch, record.released);
        self.ledger.record.iter_mut().for_each(|record| record.moving = true);
        self.ledger.going = Some(Going { id: mover.id, to: mover.to });
        Next::Freeze
    }

    /// `freeze.sql`.
    fn freeze(&mut self, mover: Mover) -> Next {
        let any = self.slip == Some(Slip::FreezesAnyEpoch);
        let is_so =
            |fence: &Fence| (any || fence.epoch == mover.epoch) && matches!(fence.state, State::Active | State::Frozen);
        match self.fence(mover.to.other()).filter(is_so) {
            Some(fence) => {
                self.set_fence(mover.to.other(), Fence { state: State::Frozen, holder: mover.id, ..fence });
                Next::Open
            }
            // Merely not open yet: it is opened, and then closed.
            None if mover.to == Side::System && self.fence(Side::Own).is_none_or(|fence| fence.epoch < mover.epoch) => {
                self.follow(Side::Own, mover.epoch);
                Next::Freeze
            }
            None => Next::Over,
        }
    }

    /// `open_copy.sql`.
    fn open(&mut self, mover: Mover) -> Next {
        let may = |fence: Fence| match self.slip {
            Some(Slip::OpensAnything) => true,
            _ => fence.epoch <= mover.epoch && !fence.is_active(),
        };
        if self.fence(mover.to).is_none_or(may) {
            self.set_fence(mover.to, Fence { epoch: mover.epoch, state: State::Copying, holder: mover.id });
            Next::Clear
        } else {
            Next::Over
        }
    }

    /// `move_to_dedicated.sql` or `move_to_system.sql`, and `move_fence.sql`.
    fn switch(&mut self, mover: Mover) -> Next {
        let Mover { id, to, epoch, .. } = mover;
        let (Some(record), Some(going)) = (self.ledger.record, self.ledger.going) else { return Next::Over };
        let any = self.slip == Some(Slip::AnyMoveSwitches);
        let is_so = any || record.epoch == epoch && going.id == id;
        if record.place.side() == to || going.to != to || !is_so {
            return Next::Over;
        }
        let epoch = record.epoch;
        let (from, fence) = match to {
            Side::Own => (State::Frozen, Fence::moved(epoch + 1)),
            Side::System => (State::Copying, Fence::active(epoch + 1)),
        };
        let any = any || self.slip == Some(Slip::SwitchWithoutFence);
        let is_so = |fence: Fence| (any || fence.holder == id) && fence.state == from && fence.epoch <= epoch;
        if !self.ledger.fence.is_some_and(is_so) {
            return Next::Over;
        }
        let made = self.own.map_or(0, |own| own.made);
        match to {
            Side::Own => {
                let released = if record.released == made { 0 } else { record.released };
                self.ledger.write(Place::Own(made), epoch + 1, released);
            }
            Side::System => self.ledger.write(Place::System, epoch + 1, made),
        }
        if self.slip != Some(Slip::SwitchWithoutFence) {
            self.ledger.fence = Some(fence);
        }
        self.set_torn(to, false);
        if self.slip == Some(Slip::FinishedFirst) { Next::Over } else { Next::Finish }
    }

    /// `move_back.sql` and `move_back_fence.sql`.
    fn take_back(&mut self, mover: Mover) -> Next {
        let Some(record) = self.ledger.record else { return Next::Over };
        if record.epoch != mover.epoch || self.ledger.going.is_none_or(|going| going.id != mover.id) {
            return Next::Over;
        }
        let epoch = if self.slip == Some(Slip::BackAtTheSameEpoch) { record.epoch } else { record.epoch + 1 };
        self.ledger.write(record.place, epoch, record.released);
        let is_home = mover.to == Side::Own;
        self.ledger.fence = self.ledger.fence.map(|fence| match (is_home, fence.state) {
            (true, _) => Fence::active(epoch),
            (false, State::Copying | State::Moved) => Fence { holder: fence.holder, ..Fence::moved(epoch) },
            (false, _) => Fence::moved(epoch),
        });
        if is_home { Next::Tidy { epoch } } else { Next::Reopen { epoch } }
    }

    fn tidy(&mut self, mover: Mover, epoch: u8) -> Next {
        let Mover { id, to, .. } = mover;
        if to == Side::System {
            return Next::Empty { epoch, id };
        }
        if self.slip == Some(Slip::ClosedUnderWriters) {
            let is_copying = self.fence(to).is_some_and(|fence| fence.state == State::Copying);
            return if is_copying { Next::Empty { epoch, id } } else { Next::Over };
        }
        if self.seal(epoch) {
            return Next::Over;
        }
        // The copy becomes that of whoever takes back, below the epoch at which the next move has its own.
        let below = if self.slip == Some(Slip::EmptiedAtTheNextEpoch) { epoch } else { epoch.saturating_sub(1) };
        self.ids += 1;
        match self.open(Mover { id: self.ids, epoch: below, ..mover }) {
            Next::Clear => Next::Empty { epoch, id: self.ids },
            _ => Next::Over,
        }
    }

    /// `seal.sql`: no move that was planned below this epoch opens the own database any more. False if a copy lies there.
    pub(super) fn seal(&mut self, epoch: u8) -> bool {
        let is_slip = matches!(self.slip, Some(Slip::NotSealed | Slip::CopyIgnored));
        let Some(own) = self.listed_mut().filter(|_| !is_slip) else { return true };
        match own.fence {
            Some(Fence { state: State::Copying, .. }) => return false,
            Some(fence) if fence.is_active() || fence.epoch > epoch => {}
            Some(_) | None => own.fence = Some(Fence::moved(epoch)),
        }
        true
    }

    /// `open_purge.sql`.
    fn open_purge(&mut self, mover: Mover) -> Next {
        let any = self.slip == Some(Slip::PurgesAnything);
        let is_so = |fence: &Fence| fence.epoch <= mover.epoch && (any || fence.state == State::Moved);
        match self.fence(mover.to).filter(is_so) {
            Some(fence) => {
                self.set_fence(mover.to, Fence { holder: mover.id, ..fence });
                Next::Purge
            }
            None => Next::Over,
        }
    }

    /// `close_purge.sql`.
    fn close_purge(&mut self, side: Side, id: u8) {
        if let Some(fence) = self.fence(side).filter(|_| self.holds(side, id, &[State::Copying, State::Moved])) {
            self.set_fence(side, Fence::moved(fence.epoch));
            self.set_torn(side, false);
        }
    }

    /// `settle_dedicated.sql`, and `fence_moved.sql`.
    fn settle(&mut self, recorded: u8, seen: u8) -> Next {
        let any = self.slip == Some(Slip::SettledWhateverHappened);
        let is_so = |record: &Record| !record.moving && (any || record.epoch == recorded);
        let Some(record) = self.ledger.record.filter(is_so) else { return Next::Over };
        let Some(made) = self.listed().map(|own| own.made) else { return Next::Over };
        let standing = self.ledger.fence.map_or(0, |fence| fence.epoch);
        let epoch = seen.max(standing).max(record.epoch) + 1;
        self.ledger.write(Place::Own(made), epoch, if record.released == made { 0 } else { record.released });
        let before = self.ledger.fence.filter(|fence| fence.state == State::Moved).map_or(0, |fence| fence.holder);
        let holder = if self.slip == Some(Slip::LeftoverForgotten) { 0 } else { before };
        self.ledger.fence = Some(Fence { holder, ..Fence::moved(epoch) });
        self.acknowledged &= self.own.map_or(0, |own| own.rows);
        Next::OpenOwn { epoch }
    }

    /// The own database's fence follows the ledger: `fence_active.sql` and `fence_moved.sql`. `home`: where the solution
    /// lives.
    fn follow(&mut self, home: Side, epoch: u8) {
        let Some(own) = self.listed_mut() else { return };
        if own.fence.is_none_or(|fence| fence.epoch < epoch) {
            own.fence = Some(if home == Side::Own { Fence::active(epoch) } else { Fence::moved(epoch) });
        }
    }

    /// `enforce_fence`: the row it finds is for this move, and in one of these states.
    fn holds(&self, side: Side, id: u8, states: &[State]) -> bool {
        self.fence(side).is_some_and(|fence| fence.holder == id && states.contains(&fence.state))
    }

    fn fence(&self, side: Side) -> Option<Fence> {
        match side {
            Side::System => self.ledger.fence,
            Side::Own => self.listed()?.fence,
        }
    }

    fn set_fence(&mut self, side: Side, fence: Fence) {
        match side {
            Side::System => self.ledger.fence = Some(fence),
            Side::Own => self.own.iter_mut().for_each(|own| own.fence = Some(fence)),
        }
    }

    fn rows_at(&self, side: Side) -> u8 {
        match side {
            Side::System => self.ledger.rows,
            Side::Own => self.own.map_or(0, |own| own.rows),
        }
    }

    fn set_rows(&mut self, side: Side, rows: u8) {
        match side {
            Side::System => self.ledger.rows = rows,
            Side::Own => self.own.iter_mut().for_each(|own| own.rows = rows),
        }
    }

    fn set_torn(&mut self, side: Side, torn: bool) {
        match side {
            Side::System => self.ledger.torn = torn,
            Side::Own => self.own.iter_mut().for_each(|own| own.torn = torn),
        }
    }
}
