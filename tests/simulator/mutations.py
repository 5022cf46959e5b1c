"""Planted mistakes: each is one of the rules the engine lives by, taken out of a copy of the package.

A simulator that finds nothing proves nothing until it has been seen to find these.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """`old` stands exactly once in `file` (below the package; or in one file of a folder) and is replaced by `new`.

    `provider`: at whose payments it shows; None: at the bank's, or wherever.
    """

    name: str
    file: str
    old: str
    new: str
    provider: str | None = None


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
    # --- core ---
    Mutation(
        "silence is taken for a refusal",
        "core/refund.py",
        "            provider_canceled=Move(S.FAILED),\n            lost=Move(S.UNKNOWN),\n            send_failed",
        "            provider_canceled=Move(S.FAILED),\n            lost=Move(S.FAILED),\n            send_failed",
    ),
    Mutation(
        "an attempt is armed on what was read of another version of its refund",
        "core/sending.py",
        "    if refund.state is not State.READY or refund.version != command.version or payment.blocked:\n",
        "    if payment.blocked:\n",
        "chip",
    ),
    Mutation(
        "the fence is let go while the outcome is unknown",
        "core/moves.py",
        "        holds = refund.state in IN_DOUBT and refund.generation > 0\n",
        "        holds = refund.state is State.SENDING\n",
        "maverick",
    ),
    Mutation(
        "doubt is never handed to a person",
        "core/observation.py",
        "    return refund.human_since >= opens or refund.look_at is None\n",
        "    return False\n",
        "chip",
    ),
    # --- flows ---
    Mutation(
        "the key is made anew for each attempt",
        "flows/send_refund.py",
        '        key=f"mb_{refund.id.hex}",\n',
        '        key=f"mb_{refund.id.hex[:-1]}{refund.generation % 10}",\n',
        "mangopay",
    ),
    # --- connectors ---
    Mutation(
        "Mangopay: an unknown key counts as not sent before it can be known",
        "dialects/mangopay",
        "    return refund.doubt_since + PROCESSING <= as_of < refund.created_at + KEY_WINDOW\n",
        "    return True\n",
        "mangopay",
    ),
    Mutation(
        "Mangopay: a key that is used up is taken for a refusal",
        "dialects/mangopay",
        '        (409, "idempotent_creation_conflict"): Event.LOST,\n',
        '        (409, "idempotent_creation_conflict"): Event.REFUSED,\n',
        "mangopay",
    ),
    Mutation(
        "CHIP: a time-out is answered by calling again",
        "dialects/chip",
        "    except AnswerLost:\n        return (_of_attempt(sending, Event.LOST),)\n",
        "    except AnswerLost:\n        reply = yield refund_call(sending)\n",
        "chip",
    ),
    Mutation(
        "CHIP: an acquirer's silence is taken for its refusal",
        "dialects/chip",
        "    {code: Event.LOST if code in NOT_KNOWN else Event.REFUSED for code in sorted(ATTEMPT_CODES)}\n",
        "    {code: Event.REFUSED for code in sorted(ATTEMPT_CODES)}\n",
        "chip",
    ),
    Mutation(
        "CHIP: any new refund is taken for ours, whatever its amount",
        "dialects/chip",
        "    if shown.status == Status.REFUNDED and len(new) == 1 and fell == amount:\n",
        "    if shown.status == Status.REFUNDED and len(new) == 1:\n",
        "chip",
    ),
    Mutation(
        "Maverick: an error in the middle is taken for not taken",
        "dialects/maverick",
        '        (500, "error"): Event.LOST,\n',
        '        (500, "error"): Event.NOT_TAKEN,\n',
        "maverick",
    ),
    Mutation(
        "Trustly: a time-out is taken for not sent",
        "dialects/trustly",
        "    except AnswerLost:\n        return (_of_attempt(sending, Event.LOST),)\n",
        "    except AnswerLost:\n        return (_of_attempt(sending, Event.SEND_FAILED),)\n",
        "trustly",
    ),
    Mutation(
        "Trustly: a bank that did not answer is taken for one that refused",
        "dialects/trustly",
        "        378: Event.LOST,  # internal or bank request error\n",
        "        378: Event.REFUSED,\n",
        "trustly",
    ),
    Mutation(
        "Trustly: the amount is left out, and means all there is",
        "dialects/trustly",
        '"amount": to_major(refund.payer, currency(refund.currency))}\n',
        "}\n",
        "trustly",
    ),
    Mutation(
        "Trustly: our mark is not cut off again",
        "dialects/trustly",
        '    return reference if found is None else found["own"] or ""\n',
        "    return reference\n",
        "trustly",
    ),
    Mutation(
        "Trustly: a mark of any refund of ours is taken for this one's",
        "dialects/trustly",
        '    if found is None or found.rpartition("_")[0] != mark.rpartition("_")[0]:\n',
        "    if found is None:\n",
        "trustly",
    ),
    Mutation(
        "Truust: a refund that is missing from the list counts as refused",
        "dialects/truust",
        "        observations=observations or _by_counter(sending, new),\n",
        "        observations=observations or _by_counter(sending, new) or (_of_attempt(sending, Event.REFUSED),),\n",
        "truust",
    ),
    Mutation(
        "Truust: an error in the middle is taken for a refusal",
        "dialects/truust",
        '        (500, "message"): Event.LOST,\n',
        '        (500, "message"): Event.REFUSED,\n',
        "truust",
    ),
)
