"""Which of the weights a scale shows becomes a record. Pure.

Rules of the file
- A record is what lies on the scale when it has come to rest: the scale calls it stable in two
  looks in a row, a quarter of a second apart, and both are the same within a step. A gust, a hand
  on the edge, a drum being set down and a digit that noise changed pass between two looks.
- It is one record however long the thing lies there, wind and warmth moving the last digits: each
  stable weight is compared with the one before, and only a jump of more than a step is a new one.
  A drum that was touched, or lifted and put back before the scale was empty, is the old one.
- The scale is empty when it shows less than a tenth of what lay there in two looks in a row, come
  to rest or not: two bags of the same mass may follow each other before it settles on nothing. One
  look is not enough: a jolt dips for a moment with the drum still on; nor is a half: one who shifts
  a drum carries part of it.
- Nothing is no weight: what is below LEAST_STEPS, and what is less than nothing because something
  tared was taken off. After it the same drum is a new one. What is put on then and still shows less
  than nothing (`is_below`) is no weight either, and must be told: somebody forgot a tare.
- More put on, or a part taken off, is a new weight: what lies there now is another thing. So a
  person who leaned on the pan until it rested leaves two records, of which the newer is right.
- What lies there at the start, or when the cable is plugged in again, is recorded if it is another
  weight than the last: one record too many can be explained, one too few cannot.
"""

LEAST_STEPS = 4  # 20 of the last digit: below it no scale weighs well (OIML R 76-1, table 3: 20 e)
EMPTY_PART = 10  # of what lay there; what swings out is below it within a second
EMPTY_STEPS = 2  # or below so little: a tenth of a light thing is the noise of the last digit


class Settling:
    """Follows the weights of one scale.

    Attributes:
        is_below: something was put on, and the scale shows less than nothing all the same.
    """

    def __init__(self) -> None:
        self.is_below = False
        self._known_mg = 0  # what lies there and needs no record any more
        self._before_mg: int | None = None  # at the look before, when it was stable
        self._was_empty = False  # at the look before

    def take(self, mass_mg: int, step_mg: int, is_stable: bool) -> bool:
        """Take one look.

        Args:
            mass_mg: what the scale shows, milligrams.
            step_mg: difference it cannot be trusted to show, milligrams.
            is_stable: the scale says so.

        Returns:
            Whether it becomes a record.
        """
        if not self.rests(mass_mg, step_mg, is_stable):
            return False
        known_mg, least_mg = self._known_mg, LEAST_STEPS * step_mg
        is_new = abs(mass_mg - known_mg) > step_mg
        if is_new:
            self.is_below = known_mg < mass_mg <= -least_mg
        self._known_mg = mass_mg if abs(mass_mg) >= least_mg else 0
        return is_new and mass_mg >= least_mg

    def rests(self, mass_mg: int, step_mg: int, is_stable: bool) -> bool:
        """Take one look; return whether the weight has come to rest."""
        is_empty = mass_mg < max(EMPTY_STEPS * step_mg, self._known_mg // EMPTY_PART)
        if is_empty and self._was_empty and self._known_mg > 0:
            self._known_mg = 0
        self._was_empty = is_empty
        before_mg, self._before_mg = self._before_mg, mass_mg if is_stable else None
        return is_stable and before_mg is not None and abs(mass_mg - before_mg) <= step_mg

    def note(self, mass_mg: int) -> None:
        """Somebody recorded this weight, or it counts as nothing from now on."""
        self._known_mg, self.is_below = mass_mg, False
        self.disturb()

    def disturb(self) -> None:
        """The scale shows no weight just now."""
        self._before_mg, self._was_empty = None, False
