"""One A-ASSOCIATE-RQ and one A-ASSOCIATE-AC with everything in them, field by field."""

from tests.vectors.hex_text import from_hex

REQUEST = from_hex(
    """
    01                                      # PDU type: A-ASSOCIATE-RQ (PS3.8 Table 9-11)
    00                                      # reserved
    00 00 01 A8                             # PDU length
    00 01                                   # protocol version: bit 0, version 1
    00 00                                   # reserved
    'STORE           '                      # called AE title, 16 bytes
    'MODALITY        '                      # calling AE title, 16 bytes
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00   # reserved, 32 bytes
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    10 00 00 15                             # application context item, 21 bytes (PS3.8 Table 9-12)
    '1.2.840.10008.3.1.1.1'                 # DICOM application context name (PS3.7 A.2.1)
    20 00 00 4D                             # presentation context item, 77 bytes (PS3.8 Table 9-13)
    01 00 00 00                             # presentation context id 1, reserved
    30 00 00 19                             # abstract syntax sub-item, 25 bytes (PS3.8 Table 9-14)
    '1.2.840.10008.5.1.4.1.1.2'             # CT Image Storage
    40 00 00 11                             # transfer syntax sub-item, 17 bytes (PS3.8 Table 9-15)
    '1.2.840.10008.1.2'                     # Implicit VR Little Endian
    40 00 00 13                             # transfer syntax sub-item, 19 bytes
    '1.2.840.10008.1.2.1'                   # Explicit VR Little Endian
    20 00 00 2E                             # presentation context item, 46 bytes
    03 00 00 00                             # presentation context id 3, reserved
    30 00 00 11                             # abstract syntax sub-item, 17 bytes
    '1.2.840.10008.1.1'                     # Verification
    40 00 00 11                             # transfer syntax sub-item, 17 bytes
    '1.2.840.10008.1.2'                     # Implicit VR Little Endian
    50 00 00 C4                             # user information item, 196 bytes (PS3.8 Table 9-16)
    51 00 00 04                             # maximum length sub-item, 4 bytes (PS3.8 Table D.1-1)
    00 00 40 00                             # 16384
    52 00 00 07                             # implementation class UID sub-item, 7 bytes (PS3.7 Table D.3-1)
    '1.2.3.4'
    53 00 00 04                             # asynchronous operations window sub-item (PS3.7 Table D.3-7)
    00 05                                   # maximum number operations invoked
    00 00                                   # maximum number operations performed: no limit
    54 00 00 1D                             # SCP/SCU role selection sub-item, 29 bytes (PS3.7 Table D.3-9)
    00 19                                   # UID length 25
    '1.2.840.10008.5.1.4.1.1.2'             # CT Image Storage
    00                                      # SCU role: not supported
    01                                      # SCP role: supported
    55 00 00 06                             # implementation version name sub-item, 6 bytes (PS3.7 Table D.3-3)
    'MOD_10'
    56 00 00 1E                             # SOP class extended negotiation sub-item, 30 bytes (PS3.7 Table D.3-11)
    00 19                                   # SOP class UID length 25
    '1.2.840.10008.5.1.4.1.1.2'             # CT Image Storage
    02 01 00                                # service class application information
    57 00 00 3F                             # SOP class common extended negotiation, 63 bytes (PS3.7 Table D.3-12)
    00 19                                   # SOP class UID length 25
    '1.2.840.10008.5.1.4.1.1.2'             # CT Image Storage
    00 11                                   # service class UID length 17
    '1.2.840.10008.4.2'                     # Storage Service Class
    00 0F                                   # related general SOP class identification length 15
    00 05                                   # related general SOP class UID length 5
    '1.2.3'
    00 06                                   # related general SOP class UID length 6
    '1.2.33'
    58 00 00 0F                             # user identity sub-item, 15 bytes (PS3.7 Table D.3-14)
    02                                      # user identity type: username and passcode
    01                                      # positive response requested
    00 05                                   # primary field length 5
    'USER1'
    00 04                                   # secondary field length 4
    'PASS'
    5F 00 00 02                             # a sub-item that no edition defines, 2 bytes
    AB CD
    """
)

ACCEPT = from_hex(
    """
    02                                      # PDU type: A-ASSOCIATE-AC (PS3.8 Table 9-17)
    00                                      # reserved
    00 00 00 E0                             # PDU length
    00 01                                   # protocol version
    00 00                                   # reserved
    'STORE           '                      # reserved: the called AE title of the RQ
    'MODALITY        '                      # reserved: the calling AE title of the RQ
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00   # reserved, 32 bytes
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    10 00 00 15                             # application context item, 21 bytes (PS3.8 Table 9-12)
    '1.2.840.10008.3.1.1.1'
    21 00 00 1B                             # presentation context item, 27 bytes (PS3.8 Table 9-18)
    01                                      # presentation context id 1
    00                                      # reserved
    00                                      # result: acceptance
    00                                      # reserved
    40 00 00 13                             # transfer syntax sub-item, 19 bytes (PS3.8 Table 9-19)
    '1.2.840.10008.1.2.1'                   # Explicit VR Little Endian
    21 00 00 19                             # presentation context item, 25 bytes
    03 00 03 00                             # presentation context id 3, result: abstract syntax not supported
    40 00 00 11                             # transfer syntax sub-item, not significant
    '1.2.840.10008.1.2'
    21 00 00 04                             # presentation context item, 4 bytes: no transfer syntax sub-item
    05 00 04 00                             # presentation context id 5, result: transfer syntaxes not supported
    50 00 00 3B                             # user information item, 59 bytes (PS3.8 Table 9-16)
    51 00 00 04                             # maximum length sub-item (PS3.8 Table D.1-1)
    00 00 00 00                             # no limit
    52 00 00 07                             # implementation class UID sub-item (PS3.7 Table D.3-2)
    '1.2.3.5'
    54 00 00 1D                             # SCP/SCU role selection sub-item (PS3.7 Table D.3-10)
    00 19                                   # UID length 25
    '1.2.840.10008.5.1.4.1.1.2'             # CT Image Storage
    00                                      # SCU role: rejected
    01                                      # SCP role: accepted
    59 00 00 03                             # user identity sub-item, server response (PS3.7 Table D.3-15)
    00 01                                   # server response length 1
    'T'
    """
)
