"""Planted mistakes: each is one of the rules the engine lives by, taken out of a copy of the package.

A simulator that finds nothing proves nothing until it has been seen to find these.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """`old` stands exactly once in `file` (below the package) and is replaced by `new`."""

    name: str
    file: str
    old: str
    new: str


MUTATIONS = (
    Mutation(
        "a time-out is taken for not sent, and the refund is sent again",
        "bank/client.py",
        "    except AnswerLost:\n        return (_of_attempt(sending, Event.LOST),)\n",
        "    except AnswerLost:\n        return (_of_attempt(sending, Event.SEND_FAILED),)\n",
    ),
    Mutation(
        "no fence: several refunds of a payment are in flight where nobody can tell them apart",
        "flows/world.py",
        "            fenced=not keyed or rail.real,",
        "            fenced=False,",
    ),
    Mutation(
        "the sum is read before the payment is locked",
        "store/memory.py",
        "        late: set[UUID] = set()\n        rows = self.database.rows\n",
        "        late: set[UUID] = set()\n        rows = self.database.rows.copy()\n"
        '        await self.database.pause("decided")\n',
    ),
    Mutation(
        "an expired lease makes a refund ready again",
        "core/observation.py",
        '        event=Event.LOST,\n        source="lease",\n',
        '        event=Event.SEND_FAILED,\n        source="lease",\n',
    ),
    Mutation(
        "a refund that is missing from the list counts as not sent",
        "bank/client.py",
        "    marked = tuple(_told(each) for each in refunds if _is_ours(sending, each))\n",
        "    marked = tuple(_told(each) for each in refunds if _is_ours(sending, each))\n"
        "    marked = marked or (_of_attempt(sending, Event.KEY_UNKNOWN),)\n",
    ),
    Mutation(
        "an unknown key counts as not sent before it can be known",
        "bank/client.py",
        "    return refund.doubt_since + PROCESSING <= as_of < refund.created_at + KEY_WINDOW\n",
        "    return True\n",
    ),
    Mutation(
        "a person may say not sent before the horizon",
        "core/observation.py",
        "    return refund.doubt_since + terms.horizon\n",
        "    return refund.doubt_since\n",
    ),
    Mutation(
        "bytes leave after the send deadline",
        "flows/send_refund.py",
        "    deadline = began + terms.send_deadline.total_seconds()\n",
        "    deadline = asyncio.get_running_loop().time() + terms.send_deadline.total_seconds()\n",
    ),
    Mutation(
        "what the bank shows before the sending is not compared",
        "core/sending.py",
        "        if command.provider_left is not None and command.provider_left != _expected_left(payment):\n",
        "        if False:\n",
    ),
    Mutation(
        "rows are written without their lock",
        "store/memory.py",
        '            free = self.database.lock(opened, ("payment", *place))\n',
        "            free = True\n",
    ),
    Mutation(
        "a commit whose answer was lost counts as rolled back",
        "store/gather.py",
        "            return doubt.verdicts if committed else await commit_batch(store, batch, alone)\n",
        '            return [StoreUnavailable("the commit was lost")] * len(batch)\n',
    ),
    Mutation(
        "an idempotency key is not looked up",
        "core/decide.py",
        "    if key is not None and known is not None and not isinstance(command, Observe):\n",
        "    if False:\n",
    ),
    Mutation(
        "the answer kept under a key is replaced by a later one",
        "store/memory.py",
        "        if known.answer is None:\n            known = rows.keys",
        "        if True:\n            known = rows.keys",
    ),
    Mutation(
        "an open dispute leaves the whole payment refundable",
        "core/payment.py",
        "        return self.held + self.refunded + self.external + self.disputed + self.clawed_back\n",
        "        return self.held + self.refunded + self.external + self.clawed_back\n",
    ),
    Mutation(
        "money that came back is not seen",
        "core/refund.py",
        "            came_back=Move(S.RETURNED),\n",
        "            came_back=IGNORE,\n",
    ),
    Mutation(
        "readers of the log do not wait for running transactions",
        "store/memory.py",
        " and (after.xid, after.id) < place and place[0] < horizon\n",
        " and (after.xid, after.id) < place\n",
    ),
)
