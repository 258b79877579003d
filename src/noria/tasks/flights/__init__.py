"""Flights: will a flight from New York arrive 15 minutes late or more, asked two hours before it is to depart?"""
