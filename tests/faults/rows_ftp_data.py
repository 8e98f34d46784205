"""Rows: FTP's data connections, from EPSV to the reply after the last byte."""

from __future__ import annotations

from typing import Final

from roco_async import Reason
from tests.servers.ftp_faults import Data, Endless, Put, Said, Sent, Silence

from .package_stage import EARLY, LENGTH, LONG, MIDDLE, NEW, OURS, WHOLE, Ftp, Row, wants
from .rows_ftp import BUSY, CROWD, FAILED, ONE, REFUSED, STALLED, ever, ftp, good, once, said
from .rows_packages import BROKEN, LACK, LOST, PUSHED, THREE, TURNED_AWAY

CUT: Final = Sent(Data(cut=MIDDLE), on=OURS, nth=1)
TRIES: Final = {"attempts": 3}
NO_EPSV: Final = Said("EPSV", "500 What?")


def _passive() -> list[Row]:
    rows = [good("EPSV", f"229{form}") for form in (" Entering (|||{port}|)", " (!!!{port}!)", " ok (|||{port}|) go",
                                                    "-one\r\n229 (|||{port}|)", " Extended (|||{port}|).")]  # fmt: skip
    # any 5xx but 530 says that it does not do this: PASV is asked instead
    rows += [ftp(f"EPSV: {code}, and PASV", said("EPSV", f"{code} No"))
             for code in (500, 501, 502, 503, 504, 522, 533, 534, 550, 553)]  # fmt: skip
    rows += [ever("EPSV", f"229{text}", BROKEN, words="no port") for text in (
        "", " nothing", " (||6446|)", " (|||0|)", " (|||65536|)", " (|||-5|)", " (|||123456|)")]  # fmt: skip
    rows += [
        once("EPSV", "229 nothing"), once("EPSV", "421 Timeout"), once("EPSV", "425 No"), once("EPSV", Silence.CLOSED),
        once("EPSV", Silence.NEVER), once("EPSV", Endless("229-more\r\n" * 200)),
        ever("EPSV", "227 Entering Passive Mode (127,0,0,1,9,9)", BROKEN), ever("EPSV", "421 Timeout", BUSY[:1]),
        ever("EPSV", "425 Cannot open", BROKEN), ever("EPSV", "530 Please login", REFUSED),
        ever("EPSV", "500 OOPS: no port", FAILED), ever("EPSV", "150 What?", BROKEN),
        ever("EPSV", Silence.CLOSED, BROKEN),
    ]  # fmt: skip
    forms = ("Entering Passive Mode (127,0,0,1,{high},{low})", "Entering Passive Mode 127,0,0,1,{high},{low}",
             "=127,0,0,1,{high},{low}", "(10,9,8,7,{high},{low}).", "(0,0,0,0,{high},{low})")  # fmt: skip
    rows += [ftp(f"PASV: {form}", NO_EPSV, said("PASV", f"227 {form}", does=True)) for form in forms]
    for text in ("227", "227 nothing", "227 (127,0,0,1,5)", "227 (127,0,0,1,0,0)", "227 (127,0,0,1,300,1)",
                 "227 (127,0,0,1,1,256)", "227 1.2.3.4.5.6"):  # fmt: skip
        rows.append(ftp(f"PASV: {text}, for ever", NO_EPSV, said("PASV", text), reason=BROKEN, most=PUSHED))
    for code in (500, 501, 502, 503, 504, 522, 530, 550):
        rows.append(ftp(f"PASV: {code}, for ever", NO_EPSV, said("PASV", f"{code} No"), reason=REFUSED, most=2,
                        words=str(code)))  # fmt: skip
    for reply, reason in {"421 Timeout": BUSY[:1], "425 No": BROKEN, f"450 {CROWD}": BUSY[:1], "451 Error": FAILED,
                          "229 (|||9|)": BROKEN, "228 Long (1)": BROKEN}.items():  # fmt: skip
        rows.append(ftp(f"PASV: {reply}, for ever", NO_EPSV, said("PASV", reply), reason=reason, most=TURNED_AWAY))
    return [
        *rows,
        ftp("PASV: 227 nothing, once", NO_EPSV, said("PASV", "227 nothing", nth=1), most=2),
        ftp("neither EPSV nor PASV", lacks=("EPSV", "PASV"), reason=REFUSED, for_all=True, most=8),
    ]  # fmt: skip


def _rests() -> list[Row]:
    return [
        # where REST is refused the whole comes again
        *(ftp(f"REST: {code}", CUT, said("REST", f"{code} No"), most=2)
          for code in (500, 501, 502, 503, 504, 550, 554)),
        ftp("REST: 350 in two lines", CUT, said("REST", "350-From\r\n350 there", does=True), most=2, resumed=MIDDLE),
        ftp("REST: 350 and no effect", CUT, said("REST", "350 Yes, yes"), most=3, config=TRIES),
        ftp("REST: 200", CUT, said("REST", "200 OK"), reason=BROKEN, most=PUSHED),
        ftp("REST: 530, for ever", CUT, said("REST", "530 Please login"), reason=REFUSED, most=3),
        ftp("REST: 421, once", CUT, said("REST", "421 Timeout", nth=1), most=3, config=TRIES),
        ftp("REST: 450, once", CUT, said("REST", "450 Busy", nth=1), most=3, config=TRIES),
        ftp("REST: closed, once", CUT, said("REST", Silence.CLOSED, nth=1), most=3, config=TRIES),
        ftp("REST: no reply, once", CUT, said("REST", Silence.NEVER, nth=1), most=3, config=TRIES),
        ftp("changed between MDTM and RETR", CUT, Put("RETR", NEW, on=OURS, nth=2),
            most=3, version="new ", config=TRIES),
        ftp("changed between SIZE and MDTM", CUT, Put("MDTM", NEW, on=OURS, nth=2),
            most=3, version="new ", config=TRIES),
        ftp("gone between SIZE and RETR", Put("RETR", None, on=OURS), reason=LOST, permanent=True),
    ]  # fmt: skip


def _retrieves() -> list[Row]:
    starts = ("110 MARK 1 = 1", "120 Soon", "125 Already open", "150 Opening", "150-Opening\r\n150 BINARY mode")
    rows = [good("RETR", reply) for reply in starts]
    rows += [ever("RETR", f"{code} No such file", LOST, permanent=True, most=1) for code in (550, 551, 553)]
    rows += [ever("RETR", f"{code} No", REFUSED)
             for code in (332, 500, 501, 502, 503, 504, 521, 522, 530, 532, 533, 534, 535, 536, 552)]  # fmt: skip
    rows += [ever("RETR", f"{code} Not now", BROKEN) for code in (425, 426, 450)]
    rows += [ever("RETR", f"{code} Not now", FAILED) for code in (451, 452)]
    rows += [ever("RETR", "421 Timeout", BUSY[:1]), ever("RETR", f"450 {CROWD}", BUSY[:1]),
             ever("RETR", f"530 {CROWD}", BUSY[:1]), ever("RETR", "500 OOPS: child died", FAILED)]  # fmt: skip
    odd = (
        "226 Nothing to send",
        "299 What?",
        "350 More",
        "631 x",
        "450 Besch\xe4ftigt",
        "450-one\r\n550 two\r\n450 three",
    )
    rows += [ever("RETR", reply, BROKEN) for reply in odd]
    rows += [once("RETR", f"{code} Not now") for code in (421, 425, 426, 450, 451, 452, 500, 530, 331)]
    return [
        *rows,
        once("RETR", "550 No such file", reason=LOST, permanent=True, most=1),
        once("RETR", Silence.CLOSED), once("RETR", Silence.NEVER), once("RETR", Endless("150-more\r\n" * 200)),
        once("RETR", "a reply without a code"),
        ever("RETR", Silence.CLOSED, BROKEN), ever("RETR", Endless("150-more\r\n" * 200), BROKEN, words="lines"),
        ever("RETR", Endless("150-more\r\n", 0.05), STALLED[:1], config={"attempts": 1, "timeout": 0.3}, most=4),
        ever("RETR", Silence.NEVER, STALLED[:1], config={"attempts": 1, "timeout": 0.3}, most=4),
    ]  # fmt: skip


def _ends() -> list[Row]:
    # pictures that are out are out, whatever is said after them
    words = ("225 Open", "226 Done", "226-Done\r\n226 1.2 MB/s", "250 Done", "200 OK")
    rows = [good("end", reply, wanted=THREE, lost=LACK) for reply in words]
    bad = ("425 No", "426 Aborted", "450 Busy", "451 Read error", "452 Full", "550 Input/output error", "551 Page",
           "552 Quota", "500 What?", "421 Data timeout")  # fmt: skip
    rows += [ftp(f"end: {reply}, all out", said("end", reply)) for reply in bad]
    rows += [ftp(f"end: {reply}, one lacking, once", said("end", reply, nth=1), wanted=THREE, lost=LACK, most=2)
             for reply in bad]  # fmt: skip
    return [
        *rows,
        ftp("end: a mark, then 226", said("end", "110 MARK 1 = 1\r\n226 Done"), wanted=THREE, lost=LACK),
        ftp("end: 150 once more, then 226", said("end", "150 Opening\r\n226 Done"), wanted=THREE, lost=LACK),
        ftp("end: 226 twice", said("end", "226 Done\r\n226 Closing"), wanted=THREE, lost=LACK),
        ftp("end: no reply", said("end", Silence.NEVER), wanted=THREE, lost=LACK),
        ftp("end: the connection ends", said("end", Silence.CLOSED), wanted=THREE, lost=LACK),
        ftp("end: a reply without a code", said("end", "what?"), most=1),
        ftp("end: a reply without an end", said("end", Endless("226-more\r\n" * 200)), most=1),
        ftp("end: 226 before the first byte", Sent(Data(early=True), on=OURS), wanted=THREE, lost=LACK),
        ftp("end: no reply, and no SIZE", said("end", Silence.NEVER), lacks=("SIZE",), most=1),
        ftp("end: 426 and no SIZE", said("end", "426 Aborted", nth=1), lacks=("SIZE",), wanted=THREE, lost=LACK,
            most=2),
        ftp("end: no reply where the rest is left", said("end", Silence.NEVER), wanted=wants("a.jpg", "b.jpg"),
            package=LONG, verified=LENGTH),
        ftp("end: 426 where the rest is left", said("end", "426 Aborted"), package=LONG, verified=LENGTH),
        ftp("end: 226 and 426 where the rest is left", said("end", "426 Aborted\r\n226 Done"), package=LONG,
            verified=LENGTH),
    ]  # fmt: skip


def _data() -> list[Row]:
    refused = Data(refused=True)
    return [
        ftp("the data connection is refused, once", Sent(refused, on=OURS, nth=1), most=2),
        ftp("the data connection is refused, for ever", Sent(refused, on=OURS), reason=BROKEN, most=PUSHED),
        ftp("a cut without a reply", Sent(Data(cut=MIDDLE, silently=True), on=OURS, nth=1), most=2, resumed=MIDDLE),
        ftp("a reset without a reply", Sent(Data(reset=MIDDLE, silently=True), on=OURS, nth=1), most=2, resumed=MIDDLE),
        ftp("a cut, and 226 all the same", CUT, said("end", "226 Done", nth=1), most=2, resumed=MIDDLE),
        ftp("a cut, and 421", CUT, said("end", "421 Timeout", nth=1), most=2, resumed=MIDDLE),
        ftp("a cut, and the connection ends", CUT, said("end", Silence.CLOSED, nth=1), most=2, resumed=MIDDLE),
        ftp("a cut, and no SIZE", CUT, lacks=("SIZE",), most=2, resumed=None),
        ftp("a cut, 226 all the same, and no SIZE", CUT, said("end", "226 Done", nth=1), lacks=("SIZE",), most=2,
            resumed=None),
        ftp("the data connection stays open after the last byte", Sent(Data(lingers=True), on=OURS), most=1),
        ftp("the data connection stays open while one is lacking", Sent(Data(lingers=True), on=OURS), most=4,
            wanted=THREE, reason=STALLED[:1], config={"attempts": 1, "timeout": 0.3}),
        ftp("the control connection ends before the first byte", Sent(Data(leaves=True), on=OURS), wanted=THREE,
            lost=LACK),
        ftp("the control connection ends, and then the data's", Sent(Data(leaves=True, cut=EARLY), on=OURS, nth=1),
            most=2, resumed=EARLY),
        ftp("the control connection ends after each file", Said("end", Silence.CLOSED), wanted=THREE, lost=LACK,
            config=ONE),
        Row("the control connection of an idle client is closed", (Ftp((), {"idle": 0.02}),), config=ONE),
        Row("a server that allows one connection", (Ftp((), {"most": 1}),), most=9, config={"attempts": 6}),
        Row("a server that wants a password", (Ftp((), {"password": "secret"}),), reason=REFUSED, for_all=True, most=8),
        ftp("a package of no bytes", package=b"", reason=(Reason.DAMAGED,), most=2),
        ftp("each second data connection is refused", Sent(refused, on=OURS, nth=range(1, 20, 2)),
            Sent(Data(cut=MIDDLE), on=OURS, nth=2), most=4, config={"attempts": 6}),
        ftp("a package whose SIZE counts from elsewhere", said("SIZE", f"213 {len(WHOLE) + 9}"), wanted=THREE,
            reason=BROKEN, most=PUSHED),
    ]  # fmt: skip


FTP_DATA: Final = (*_passive(), *_rests(), *_retrieves(), *_ends(), *_data())
