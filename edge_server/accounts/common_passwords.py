"""Words that people make a password of when they are asked for one, as somebody guesses them first.

Written down for Kinflow, not taken from a leaked list: keyboards, the word itself, the things at hand, the product.
"""

from __future__ import annotations

_WORDS = """
    password passwort passwd passphrase mypassword thepassword newpassword changeme changeit changethis letmein
    letmeinnow openthedoor opensesame welcome welcomehome welcomeback iloveyou iloveyousomuch qwerty qwertyuiop
    qwertz qwertzuiop azerty azertyuiop asdfgh asdfghjkl zxcvbn zxcvbnm qazwsx qweasd qweasdzxc abc abcd abcdef
    abcabc admin administrator adminadmin root rootroot toor user useruser username guest guestguest test testtest
    tester testing demo demodemo default defaultpassword secret topsecret supersecret master masterkey login logmein
    access superuser superman batman spiderman pokemon starwars football baseball basketball sunshine princess
    dragon monkey shadow michael jennifer jessica computer internet whatever nothing trustno trustnoone freedom
    summer winter spring autumn monday friday january december hello hellohello helloworld goodbye please
    pleaseletmein money chocolate cookie flower lovely killer hunter ranger soccer hockey matrix phoenix mustang
    mercedes ferrari samsung google facebook microsoft windows linux ubuntu debian raspberry raspberrypi raspbian pi
    pipi jetson nvidia arduino kinflow kinflowadmin kinflowedge kinflowkinflow edge edgeserver closet closetserver
    camera cameras traffic trafficlight trafficlights trafficcontrol signal signals intersection junction crossroads
    city cityhall smartcity roadworks mosquitto mqtt correcthorsebatterystaple
"""
STEMS = frozenset(_WORDS.split())
