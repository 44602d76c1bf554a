"""The identity of the guest: numbers and names of a process."""

from __future__ import annotations

from collections.abc import Sequence

from uselib.linker.quick_dataclass import dataclass

LAST_CAPABILITY = 40  # CAP_CHECKPOINT_RESTORE
ALL_CAPABILITIES = (1 << LAST_CAPABILITY + 1) - 1


@dataclass
class ProcessIdentity:
    """Fixed numbers, so that runs are the same for every user; files of the host's user appear as the guest's (calls/status.py).

    uid, effective_uid, saved_uid, file_uid: credentials(7), and likewise of the group. capabilities: inheritable, permitted, effective,
    bounding. arguments, environment: where execve has put the strings; auxiliary: address of the auxiliary vector, 0: there is none.
    started: ns of the guest's clock.
    """

    pid: int = 1000
    parent: int = 1
    uid: int = 1000
    gid: int = 1000
    effective_uid: int = 1000
    effective_gid: int = 1000
    saved_uid: int = 1000
    saved_gid: int = 1000
    file_uid: int = 1000
    file_gid: int = 1000
    groups: tuple[int, ...] = (1000,)
    capabilities: tuple[int, int, int, int] = (0, 0, 0, ALL_CAPABILITIES)
    nice: int = 0
    name: str = ""  # comm, at most 15 bytes
    executable: str = ""  # guest path of the program: /proc/self/exe
    command_line: tuple[bytes, ...] = ()
    arguments: tuple[int, int] = (0, 0)
    environment: tuple[int, int] = (0, 0)
    auxiliary: int = 0
    started: int = 0

    def place(
        self,
        arguments: tuple[int, int],
        vectors: tuple[int, int],
        environment: Sequence[bytes],
        word: int,
        has_auxiliary: bool,
    ) -> None:
        """Records where execve has put strings and vectors. vectors: addresses of argv and envp."""
        self.arguments = arguments
        self.environment = (arguments[1], arguments[1] + sum(len(text) + 1 for text in environment))
        self.auxiliary = vectors[1] + word * (len(environment) + 1) if has_auxiliary else 0

    @classmethod
    def of(cls, uid: int, gid: int) -> ProcessIdentity:
        """Of a user: 0 has all capabilities, others have none."""
        who = cls(uid=uid, effective_uid=uid, saved_uid=uid, file_uid=uid)
        who.gid = who.effective_gid = who.saved_gid = who.file_gid = gid
        who.groups = (gid,)
        full = ALL_CAPABILITIES if uid == 0 else 0
        who.capabilities = (0, full, full, ALL_CAPABILITIES)
        return who

    def after_exec(self, uid: int, gid: int) -> None:
        """execve with this effective user and group: root gets what its bounding set allows, others nothing."""
        self.effective_uid = self.saved_uid = self.file_uid = uid
        self.effective_gid = self.saved_gid = self.file_gid = gid
        inheritable, _, _, bounding = self.capabilities
        root = 0 in (uid, self.uid)
        permitted = bounding | inheritable if root else 0
        self.capabilities = inheritable, permitted, permitted if uid == 0 else 0, bounding

    def can(self, capability: int) -> bool:
        """Whether the capability is in effect (capabilities(7))."""
        return bool(self.capabilities[2] >> capability & 1)
